"""Log lines on the terminal's standard error, beside a live display."""

import argparse
import logging
import sys

from devicedb.cli.console import TerminalConsole
from devicedb.cli.terminal import say_error


class ConsoleHandler(logging.Handler):
    """Writes records to a rich console, so that a live display stays intact."""

    def __init__(self, console: TerminalConsole) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._console.say(self.format(record))
        except OSError:
            return  # the terminal is gone
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        error = sys.exc_info()[1]
        say_error(f"a log record of {record.name} cannot be shown: {type(error).__name__}: {error}")


def log_to(console: TerminalConsole, arguments: argparse.Namespace) -> int:
    """Log to a console; return the level, which is WARNING changed by -v and -q."""
    level: int = max(logging.DEBUG, logging.WARNING + 10 * (arguments.quiet - arguments.verbose))
    root = logging.getLogger()
    root.setLevel(level)
    handler = ConsoleHandler(console)
    # The level is the handler's, too: some loggers have a lower one for other handlers.
    handler.setLevel(level)
    for previous in [each for each in root.handlers if isinstance(each, ConsoleHandler)]:
        root.removeHandler(previous)  # of a program that ran in this process before
    root.addHandler(handler)
    return level

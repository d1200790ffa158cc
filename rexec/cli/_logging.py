"""Log lines on the terminal's standard error, beside a live display."""

import argparse
import logging

from rich.console import Console


class ConsoleHandler(logging.Handler):
    """Writes records to a rich console, which keeps a live display in its place.

    Args:
        console: Of standard error.

    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._console.print(
                self.format(record), markup=False, highlight=False, soft_wrap=True, emoji=False
            )
        except Exception:
            self.handleError(record)


def log_to(console: Console, arguments: argparse.Namespace) -> int:
    """Log to a console from the level that -v and -q make of WARNING; return that level."""
    level: int = max(logging.DEBUG, logging.WARNING + 10 * (arguments.quiet - arguments.verbose))
    root = logging.getLogger()
    root.setLevel(level)
    handler = ConsoleHandler(console)
    # Loggers that something else is to hear more of have a level of their own.
    handler.setLevel(level)
    root.addHandler(handler)
    return level

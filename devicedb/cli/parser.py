"""The argument parser of both programs: errors are one line, with the nearest valid word."""

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from devicedb.cli.formatting import TextAndExamples
from devicedb.printable import LINES, inset, printable
from devicedb.suggest import did_you_mean


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that keeps examples in help texts, and whose errors are one line.

    Args:
        keywords: Those of ArgumentParser.

    """

    def __init__(self, **keywords: Any) -> None:
        keywords.setdefault("formatter_class", TextAndExamples)
        super().__init__(**keywords)

    def error(self, message: str) -> NoReturn:
        """Print the error and how to get help, and exit with status 2."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown is not None:
            message = with_hint(message, unknown[1], self._option_string_actions)
        stop = "" if message.endswith(("?", ".")) else "."
        self.exit(2, inset(f"{self.prog}: error: {message}{stop} `{self.prog} --help` explains") + "\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message, keep=LINES), file)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(each) for each in action.choices]
        message = f"invalid choice: {value!r} (choose from {', '.join(names)})"
        raise argparse.ArgumentError(action, with_hint(message, str(value), names))


def with_hint(message: str, word: str, names: Iterable[str]) -> str:
    """Return a message with "Did you mean …?" if a name is near the word."""
    hint = did_you_mean(word, names)
    return f"{message}.{hint}" if hint else message

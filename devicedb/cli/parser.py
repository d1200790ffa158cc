"""The parser of both programs' commands: what is wrong with a command line is one line, with the nearest right word."""

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from devicedb.cli.formatting import TextAndExamples
from devicedb.suggest import did_you_mean


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser whose help keeps examples as they are written, and whose errors are one line.

    Args:
        keywords: Those of ArgumentParser.

    """

    def __init__(self, **keywords: Any) -> None:
        keywords.setdefault("formatter_class", TextAndExamples)
        super().__init__(**keywords)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and end the program with status 2."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown is not None:
            message = with_hint(message, unknown[1], self._option_string_actions)
        stop = "" if message.endswith(("?", ".")) else "."
        self.exit(2, f"{self.prog}: error: {message}{stop} `{self.prog} --help` explains\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(each) for each in action.choices]
        message = f"invalid choice: {value!r} (choose from {', '.join(names)})"
        raise argparse.ArgumentError(action, with_hint(message, str(value), names))


def with_hint(message: str, word: str, names: Iterable[str]) -> str:
    """Return a message, and after it the name that a word is most likely a slip of, if there is one."""
    hint = did_you_mean(word, names)
    return f"{message}.{hint}" if hint else message

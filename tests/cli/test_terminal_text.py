"""Each way to print text shows what strangers wrote and obeys none of it."""

import io
import logging
import re
from collections.abc import Callable

import pytest
from rich.table import Table
from rich.text import Text

from devicedb.cli.console import TerminalConsole
from devicedb.cli.terminal import say, say_error, say_lines
from rexec.cli._logging import ConsoleHandler
from rexec.cli._up_logs import LineFormatter
from rexec.common_args import LineCountFormatter
from tests.campaigns.hostile import TEXTS
from tests.campaigns.hostile_terminal import FORGED

Print = Callable[[TerminalConsole, str], None]


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord(text.replace("\n", ""), logging.WARNING, "", 0, "%s", (text,), None)


def _logged(console: TerminalConsole, text: str) -> None:
    handler = ConsoleHandler(console)
    handler.handle(_record(text))


def _table(console: TerminalConsole, text: str) -> None:
    table = Table()
    table.add_column(text.replace("\n", ""))
    table.add_row(Text("x"), Text(text))
    console.print(table)


WAYS: dict[str, Print] = {
    "say": lambda console, text: say(text),
    "say_error": lambda console, text: say_error(f"rexec: error: {text}"),
    "say_lines": lambda console, text: say_lines(text.replace("\n", "")),
    "console.say": lambda console, text: console.say(text),
    "console.say_lines": lambda console, text: console.say_lines(text.replace("\n", "")),
    "console.print": lambda console, text: console.print(Text(text.replace("\n", ""))),
    "log": _logged,
    "table": _table,
    "log file": lambda console, text: print(LineFormatter("%(name)s: %(message)s").format(_record(text))),
    "controller": lambda console, text: print(
        LineCountFormatter().format(_record(text)).replace("\nF", "\n F")
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_strangers_is_shown_and_not_obeyed(
    way: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.StringIO()
    WAYS[way](TerminalConsole(file=file, width=500, force_terminal=True, color_system=None), TEXTS[kind])
    captured = capsys.readouterr()
    shown = file.getvalue() + captured.out + captured.err
    assert shown.strip()
    assert all(char.isprintable() or char == "\n" for char in shown), repr(shown)
    assert not re.search(rf"^{FORGED}", shown, re.M)

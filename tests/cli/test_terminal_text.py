"""Each way to print text shows what strangers wrote and obeys none of it."""

import io
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from devicedb.cli.console import TerminalConsole
from devicedb.cli.terminal import say, say_error, say_lines, say_unbuffered
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
    "say_unbuffered": lambda console, text: say_unbuffered(text.replace("\n", "")),
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
    shown = (file.getvalue() + captured.out + captured.err).replace(os.linesep, "\n")
    assert shown.strip()
    assert all(char.isprintable() or char == "\n" for char in shown), repr(shown)
    assert not re.search(rf"^{FORGED}", shown, re.M)


class Reluctant(io.RawIOBase):
    """A pipe that takes three bytes at a time, and then no more until somebody reads."""

    def __init__(self, holds: int) -> None:
        self.written = b""
        self.holds = holds

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int | None:
        taken = bytes(data[: min(3, self.holds - len(self.written))])
        self.written += taken
        return len(taken) or None


@pytest.mark.parametrize("is_buffered", [True, False])
def test_text_past_the_buffer_is_written_whole(is_buffered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Reluctant(1000)
    buffer: Any = io.BufferedWriter(pipe) if is_buffered else pipe
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(buffer, "ascii", "backslashreplace", write_through=True)
    )
    say_unbuffered("a camera\n  of 5 µm")
    assert pipe.written == os.linesep.join(["a camera", "  of 5 \\xb5m", ""]).encode()


def test_text_past_the_buffer_that_a_pipe_has_no_room_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Reluctant(7)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(pipe), "utf-8"))
    with pytest.raises(BlockingIOError):
        say_unbuffered("a camera")
    assert pipe.written == b"a camer"

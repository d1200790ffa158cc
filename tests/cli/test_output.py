"""What commands print fits terminals, pipes, and people who want no colours."""

import io
import sys

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from devicedb.cli.output import PIPE_WIDTH, columns_that_fit, console
from rexec.cli._table import value_table

ROWS = [("name", "pid", "address", "memory"), ("a" * 10, "12345", "[::1]:3290", "10 MB")]


@pytest.mark.parametrize(("width", "count"), [(80, 4), (37, 4), (36, 3), (29, 3), (28, 2), (5, 2)])
def test_the_last_columns_are_left_out_and_the_first_never(width: int, count: int) -> None:
    assert columns_that_fit(ROWS, width, keep=2) == count


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stderr", [False, True])
def test_no_color_is_honoured_whole(monkeypatch: pytest.MonkeyPatch, stderr: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for wanted in (True, False):
        screen = Screen()
        monkeypatch.setattr(sys, "stderr" if stderr else "stdout", screen)
        made = console(stderr=stderr)
        table = Table(header_style="bold")
        table.add_column("heading")
        made.print(table, Text("warning", "bold red"))
        assert ("\x1b[" in screen.getvalue()) is wanted
        monkeypatch.setenv("NO_COLOR", "1")


def test_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert console().width == PIPE_WIDTH
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60


@pytest.mark.parametrize("width", [40, 60, 100])
def test_names_and_units_of_datasets_are_whole(width: int) -> None:
    made = Console(file=io.StringIO(), width=width)
    made.print(value_table("dataset", [("detection.counts", "a long value " * 9, "counts/s")], width))
    assert isinstance(made.file, io.StringIO)
    heading, row = made.file.getvalue().splitlines()
    assert heading.split() == ["dataset", "value", "unit"]
    assert row.split()[0] == "detection.counts"
    assert row.split()[-1] == "counts/s"
    assert "…" in row

"""What commands print to: consoles that honour NO_COLOR, and tables that keep what identifies a row at any width."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from devicedb.cli.console import TerminalConsole

PIPE_WIDTH: Final = 240
"""Width of a table in a file or pipe, so that nothing is cut off that a script looks for."""
_GAP: Final = 2
"""Columns of the terminal between two columns of a table."""


def console(*, stderr: bool = False, soft_wrap: bool = False) -> "TerminalConsole":
    """Return a console: as wide as the terminal, or PIPE_WIDTH; with NO_COLOR it has no styles at all.

    Args:
        stderr: Whether it writes to standard error.
        soft_wrap: Whether the terminal folds long lines.

    """
    from devicedb.cli.console import TerminalConsole

    stream = sys.stderr if stderr else sys.stdout
    known = (stream is not None and stream.isatty()) or "COLUMNS" in os.environ
    options: dict[str, Any] = {} if known else {"width": PIPE_WIDTH}
    if known and not stderr:
        options["width"] = shutil.get_terminal_size().columns
    if os.environ.get("NO_COLOR"):
        options["color_system"] = None
    return TerminalConsole(
        stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False, **options
    )


def columns_that_fit(rows: Sequence[Sequence[str]], width: int, keep: int) -> int:
    """Return how many columns of a table fit, from the left.

    Args:
        rows: Its cells, those of the heading included.
        width: Columns of the terminal.
        keep: How many of the first columns identify a row: those stay in any case.

    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    count = len(widths)
    while count > keep and sum(widths[:count]) + _GAP * (count - 1) > width:
        count -= 1
    return count


def lines_that_fit(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, gap: int = _GAP
) -> list[str] | None:
    """Return a table as lines, the headings first; None if one would be folded, which a table of rich does.

    A table of ten thousand rows takes rich seconds.

    Args:
        headings: Headings of the columns.
        rows: Cells.
        width: Columns of the terminal.
        gap: Columns of the terminal between two columns of the table.

    """
    cells = [headings, *rows]
    lengths = [[*map(_length, column)] for column in zip(*cells, strict=True)]
    widest = [max(column) for column in lengths]
    if sum(widest) + gap * (len(widest) - 1) > width or any("\n" in cell for row in rows for cell in row):
        return None
    space = " " * gap
    pads = [
        [" " * (most - length) for length in column] for most, column in zip(widest, lengths, strict=True)
    ]
    return [
        space.join(cell + pad[index] for cell, pad in zip(row, pads, strict=True)).rstrip()
        for index, row in enumerate(cells)
    ]


def _length(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)

"""Tables of datasets."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from devicedb.cli.console import TerminalConsole
from devicedb.printable import printable
from rexec.results.reading.shown import shown

ROWS: Final = 30
"""Maximum number of rows."""

_LEAST_VALUE: Final = 12
"""Columns of the terminal that a value has at least."""
_GAP: Final = 2
"""Columns of the terminal between two columns of a table."""


def value_table(title: str, rows: Sequence[tuple[str, str, str]], width: int, *, fold: bool = False) -> Table:
    """Return a table of names, values and units: names and units are whole, values have what is left.

    Args:
        title: Heading of the names.
        rows: Name, value and unit of each.
        width: Columns of the terminal.
        fold: Whether long values go on in the next line; otherwise they are cut.

    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    units = max(cell_len(text) for text in ("unit", *(unit for _, _, unit in rows)))
    names = max(cell_len(text) for text in (title, *(name for name, _, _ in rows)))
    left = width - units - 2 * _GAP
    table.add_column(title, overflow="fold", max_width=max(left - _LEAST_VALUE, 10))
    table.add_column(
        "value",
        no_wrap=not fold,
        overflow="fold" if fold else "ellipsis",
        max_width=max(left - names, _LEAST_VALUE),
    )
    table.add_column("unit", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_datasets(console: TerminalConsole, datasets: Mapping[str, Any]) -> None:
    """Print name, value and unit of datasets; arrays by shape, range and type.

    Args:
        console: Console to print to.
        datasets: Objects with `value` and `metadata`, by name.

    """
    rows = [
        (printable(key), *shown(dataset.value, dataset.metadata))
        for key, dataset in list(datasets.items())[:ROWS]
    ]
    console.print(value_table("dataset", rows, console.width))
    if len(datasets) > ROWS:
        console.print(f"... and {len(datasets) - ROWS} more", style="dim")

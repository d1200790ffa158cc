"""A short table of the datasets of a run."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROWS: Final = 30
"""Datasets that are shown; the others are only counted."""

WIDTH: Final = 60
"""Characters of a value."""


def print_datasets(console: Console, datasets: Mapping[str, Any]) -> None:
    """Print name, value and unit of datasets; arrays by shape, range and type.

    Args:
        console: Where to.
        datasets: Objects with `value` and `metadata`, by name.

    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("dataset", "value", "unit"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for key, dataset in list(datasets.items())[:ROWS]:
        value, unit = shown(dataset.value, dataset.metadata)
        table.add_row(Text(key), Text(value), Text(unit))
    console.print(table)
    if len(datasets) > ROWS:
        console.print(f"... and {len(datasets) - ROWS} more", style="dim")


def shown(value: Any, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return a dataset's value as text, in the unit of its metadata, and that unit."""
    unit = str(metadata.get("unit", ""))
    scale = metadata.get("scale") or 1
    precision = metadata.get("precision")
    if isinstance(value, bool | np.bool_):
        return str(bool(value)), unit
    if isinstance(value, int | float | np.integer | np.floating):
        return number(value, scale, precision), unit
    array = _numeric(value)
    if array is not None:
        shape = " x ".join(map(str, array.shape))
        summary = f"{array.dtype} {shape}"
        if array.size and array.dtype.kind in "iuf":
            low, high = number(array.min(), scale, precision), number(array.max(), scale, precision)
            summary += f", {low} to {high}"
        return summary, unit
    text = " ".join(repr(value).split())
    return (text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"), unit


def number(value: Any, scale: float, precision: int | None) -> str:
    """Return a number in units of `scale`, with `precision` digits after the point or six that count."""
    if scale == 1 and isinstance(value, int | np.integer):
        return str(int(value))
    scaled = float(value) / scale
    return f"{scaled:.{precision}f}" if precision is not None else f"{scaled:.6g}"


def _numeric(value: Any) -> np.ndarray[Any, Any] | None:
    """Return a value as an array if it is one, or a list that makes one of numbers."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list | tuple) or not value:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or integers of over 64 bits
        return None
    return array if array.dtype.kind in "biufc" else None

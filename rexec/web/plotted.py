"""What a browser gets of numbers for a plot: pure functions of arrays, for live datasets and result files."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rexec.web.decimation import extremes, step_for
from rexec.web.frames import sendable

MOST_COLUMNS: Final = 12
"""Maximum number of lines of one plot."""

MOST_PIXELS: Final = 1024
"""Rows and columns of an image; of a larger one every n-th is sent."""

_PIECE: Final = 1 << 20
_BINS: Final = 100

Reader = Callable[[int, int], "np.ndarray[Any, Any]"]
"""Returns the rows from one number to another."""


@dataclass(frozen=True)
class Part:
    """A part of a plot: facts for the header of a message, and arrays.

    Attributes:
        facts: `op` ("points", "image", "histogram"), and what belongs to it.
        arrays: Numbers, in the unit in which they are shown.

    """

    facts: dict[str, Any]
    arrays: list[Any]


def may_be_axis(shape: tuple[int, ...], dtype: "np.dtype[Any]", rows: int) -> bool:
    """Return whether rows can be drawn against numbers of this shape and type."""
    return len(shape) == 1 and shape[0] >= rows and dtype.kind in "biuf"


def columns_of(rows: "np.ndarray[Any, Any]", complex_as: str) -> "np.ndarray[Any, Any]":
    """Return rows as a table of real numbers with at most `MOST_COLUMNS` columns.

    Args:
        rows: Rows of numbers.
        complex_as: "re_im" or "mag_phase": each complex column becomes two.

    """
    width = int(np.prod(rows.shape[1:], dtype=np.int64))
    table = rows.reshape(len(rows), width)[:, :MOST_COLUMNS]
    if table.dtype.kind == "c":
        pair = (np.abs(table), np.angle(table)) if complex_as == "mag_phase" else (table.real, table.imag)
        table = np.stack(pair, axis=2).reshape(len(rows), 2 * table.shape[1])[:, :MOST_COLUMNS]
    return table.astype(np.uint8) if table.dtype.kind == "b" else table


def points(
    read: Reader,
    axis: Reader | None,
    total: int,
    step: int,
    part: tuple[int, int],
    scales: tuple[float, float],
    complex_as: str = "re_im",
) -> Part:
    """Return a part of a line, or of several.

    Args:
        read: Reads rows.
        axis: Reads what they are drawn against; None: their numbers.
        total: Number of rows.
        step: See `step_for`.
        part: First row, and the one after the last; it is widened to whole stretches.
        scales: What numbers of the rows, and of the axis, are divided by.
        complex_as: See `columns_of`.

    Returns:
        The part, with `from` (the first stretch), `step` and `rows`. Arrays, without an axis only the last: for step 1,
        the axis, and the table of values; else for each column where its points are, the axis there, and the values.

    """
    begin, end = part[0] // step * step, min(-(-part[1] // step) * step, total)
    places: list[list[Any]] = []
    values: list[list[Any]] = []
    along: list[list[Any]] = []
    piece = max(_PIECE // step, 1) * step
    for start in range(begin, max(end, begin + 1), piece):
        stop = min(start + piece, end)
        table = columns_of(read(start, stop), complex_as)
        axis_part = None if axis is None else axis(start, stop)
        chosen: list[Any] = [slice(None)]
        if step > 1:
            chosen = [extremes(each, step) for each in table.T] if len(table) else []
        for number, where in enumerate(chosen):
            if len(values) <= number:
                values.append([])
                places.append([])
                along.append([])
            values[number].append(table if step == 1 else table[where, number])
            if step > 1:
                places[number].append(np.asarray(where + start, np.uint32))
            if axis_part is not None:
                along[number].append(axis_part[where])
    arrays: list[Any] = []
    for number, parts in enumerate(values):
        if step > 1:
            arrays.append(sendable(np.concatenate(places[number])))
        if along[number]:
            arrays.append(sendable(_scaled(np.concatenate(along[number]), scales[1])))
        arrays.append(sendable(_scaled(np.concatenate(parts), scales[0])))
    facts = {"op": "points", "from": begin // step, "step": step, "rows": total, "axis": axis is not None}
    return Part(facts, arrays)


def line(
    read: Reader,
    axis: Reader | None,
    part: tuple[int, int],
    most: int,
    scales: tuple[float, float],
    complex_as: str = "re_im",
) -> Part:
    """Return a part of a line with at most `most` points, as a zoom asks for it."""
    begin, end = part
    step = step_for(end - begin, most)

    def shifted(reader: Reader) -> Reader:
        return lambda start, stop: reader(start + begin, stop + begin)

    found = points(
        shifted(read),
        None if axis is None else shifted(axis),
        end - begin,
        step,
        (0, end - begin),
        scales,
        complex_as,
    )
    return Part({**found.facts, "offset": begin}, found.arrays)


def image(rows: "np.ndarray[Any, Any]", scale: float, part: tuple[int, int] | None = None) -> Part:
    """Return an image; of a stack, its last one.

    Args:
        rows: Numbers of two or more dimensions; complex ones as their magnitude.
        scale: What they are divided by.
        part: Rows of the image that have changed, of one that is sent whole; None: all.

    """
    stack = rows.shape[:-2]
    picture = rows[tuple(length - 1 for length in stack)]
    height, width = picture.shape
    step = max(-(-height // MOST_PIXELS), -(-width // MOST_PIXELS), 1)
    begin, end = (0, height) if part is None or step > 1 or stack else part
    shown = picture[begin:end:step, ::step]
    if shown.dtype.kind == "c":
        shown = np.abs(shown)
    facts = {"op": "image", "from": begin, "step": step, "rows": height, "columns": width}
    return Part({**facts, "stack": int(np.prod(stack, dtype=np.int64))}, [sendable(_scaled(shown, scale))])


def histogram(values: "np.ndarray[Any, Any]", scale: float) -> Part:
    """Return how often values occur: each of a few whole numbers, or in 100 bins."""
    row = values.reshape(-1)
    row = np.abs(row) if row.dtype.kind == "c" else row
    row = row[np.isfinite(row)] if row.dtype.kind == "f" else row
    counts: np.ndarray[Any, Any]
    if row.dtype.kind in "iub" and row.size and int(row.max()) - int(row.min()) < 2 * _BINS:
        places, counts = np.unique(row, return_counts=True)
        width = 1.0
    else:
        places, counts, width = _binned(np.asarray(row, np.float64))
    facts = {"op": "histogram", "width": width / scale, "rows": int(row.size)}
    return Part(facts, [sendable(_scaled(places, scale)), sendable(counts.astype(np.float64))])


def _binned(row: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]":
    """Return the middles of bins, the counts in them, and their width."""
    if not row.size:
        return np.zeros(0), np.zeros(0), 0.0
    low, high = float(row.min()), float(row.max())
    if math.isfinite(high - low):
        with contextlib.suppress(ValueError):  # the range has fewer numbers than bins
            counts, edges = np.histogram(row, bins=_BINS)
            return (edges[:-1] + edges[1:]) / 2, counts, float(edges[1] - edges[0])
    return np.array([low / 2 + high / 2]), np.array([row.size]), 1.0


def _scaled(numbers: "np.ndarray[Any, Any]", scale: float) -> "np.ndarray[Any, Any]":
    if scale == 1:
        return numbers
    with np.errstate(all="ignore"):  # a number that is too large is drawn as a gap
        scaled: np.ndarray[Any, Any] = numbers / scale
    return scaled

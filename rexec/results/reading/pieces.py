"""Parts of stored numbers that are enough for a picture, read in pieces of bounded size."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from rexec.results.reading.stored import StoredDataset

Array: TypeAlias = "np.ndarray[Any, Any]"

MOST_POINTS: Final = 20_000
"""Points of a line; of a longer one the extremes of as many stretches are drawn, so that no peak is lost."""

_FEW_POINTS: Final = 2_000
"""Points of each line of a table with many columns: three for each pixel of its panel."""

MOST_PIXELS: Final = 1_000
"""Rows and columns of an image; of a larger one every n-th is drawn."""

_PIECE: Final = 1_000_000
"""Elements that are read at a time."""


class DrawnLine(NamedTuple):
    """What is drawn of a line, or of a column of a table, in the units in which its numbers are shown."""

    column: int | None
    points: Array
    """Which points, ascending."""
    values: Array
    along: Array
    """The values of the axis; without one, the points."""


class Counts(NamedTuple):
    """The values of a dataset, ascending, how often each occurs, and whether one is smaller than the one before."""

    values: Array
    counts: Array
    falls: bool


def lines_of(
    stored: StoredDataset, columns: int | None = None, axis: StoredDataset | None = None
) -> list[DrawnLine]:
    """Return what is drawn of a line, or of each column of a table: of a long one the extremes. It is read once.

    Args:
        stored: A dataset that is a line, or a table.
        columns: How many columns a table has; None: it is a line.
        axis: The dataset along which it is drawn.

    """
    size = stored.size if columns is None else stored.shape[0]
    width = columns or 1
    most = max(MOST_POINTS // width, _FEW_POINTS)
    stretch = 1 if size <= most else -(-size // (most // 2))
    step = max(_PIECE // (stretch * width), 1) * stretch
    found: list[tuple[list[Array], list[Array]]] = [([], []) for _ in range(width)]
    for begin in range(0, size, step):
        piece = _part_of(stored, slice(begin, begin + step), is_table=columns is not None).reshape(-1, width)
        for column, (points, values) in enumerate(found):
            drawn = _extremes(piece[:, column], stretch)
            points.append(drawn + begin)
            values.append(piece[drawn, column])
    every = np.unique(np.concatenate([part for points, _ in found for part in points]))
    places = None if axis is None else values_at(axis, every)
    lines = []
    for column, (points, values) in enumerate(found):
        where = np.concatenate(points)
        along = where if places is None else places[np.searchsorted(every, where)]
        number = None if columns is None else column
        lines.append(DrawnLine(number, where, scaled(np.concatenate(values), stored), along))
    return lines


def _extremes(line: Array, stretch: int) -> Array:
    """Return where the smallest and the largest number of each stretch of a line is; of stretches of one, all."""
    if stretch == 1:
        return np.arange(line.size)
    real = _real(line)
    found: list[int] = []
    for first in range(0, real.size, stretch):
        part = real[first : first + stretch]
        if not np.isnan(part).all():
            found += [first + int(np.nanargmin(part)), first + int(np.nanargmax(part))]
    return np.unique(np.asarray(found, np.int64))


def values_at(stored: StoredDataset, points: Array) -> Array:
    """Return the values of a line at these points (ascending), in the unit in which they are shown."""
    parts = []
    for begin in range(0, stored.size, _PIECE):
        wanted = points[(points >= begin) & (points < begin + _PIECE)] - begin
        if wanted.size:
            parts.append(_part_of(stored, slice(begin, begin + _PIECE), is_table=False)[wanted])
    return scaled(np.concatenate(parts) if parts else np.empty(0), stored)


def _part_of(stored: StoredDataset, part: slice, *, is_table: bool) -> Array:
    """Return a stretch of a line, or rows of a table. A line may have other axes, all but one of length 1."""
    if is_table:
        return stored.numbers(part)
    if not stored.shape:
        return stored.numbers(()).reshape(1)[part]
    long = int(np.argmax(stored.shape))
    index = tuple(part if axis == long else 0 for axis in range(len(stored.shape)))
    return stored.numbers(index).reshape(-1)


def counts_of(stored: StoredDataset, most: int) -> Counts | None:
    """Return how often each value of a dataset occurs; None if there are more than `most` values.

    Args:
        stored: The dataset.
        most: Most values.

    """
    values: Array = np.empty(0)
    counts = np.empty(0, np.int64)
    falls = False
    before = None
    for row in rows_of(stored):
        falls = falls or bool(np.any(row[1:] < row[:-1])) or (before is not None and bool(row[0] < before))
        before = row[-1]
        new, often = np.unique(row[~np.isnan(row)], return_counts=True)
        values, where = np.unique(np.concatenate([values, new]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([counts, often]), values.size).astype(np.int64)
        if values.size > most:
            return None
    return Counts(scaled(values, stored), counts, falls)


def rows_of(stored: StoredDataset) -> Iterator[Array]:
    """Yield the numbers of a dataset in one row, a piece at a time."""
    if not stored.shape:
        yield stored.numbers(()).reshape(1)
        return
    step = max(_PIECE * stored.shape[0] // stored.size, 1)
    for begin in range(0, stored.shape[0], step):
        yield stored.numbers(slice(begin, begin + step)).reshape(-1)


def picture_of(stored: StoredDataset) -> tuple["np.ndarray[Any, Any]", int]:
    """Return the last image of a dataset of two or more dimensions in its unit, and of every which pixel it is."""
    rows, columns = stored.shape[-2:]
    step = max(-(-rows // MOST_PIXELS), -(-columns // MOST_PIXELS))
    last = tuple(length - 1 for length in stored.shape[:-2])
    band = max(_PIECE // (columns * step), 1) * step
    bands = [slice(begin, min(begin + band, rows), step) for begin in range(0, rows, band)]
    # HDF5 keeps a selection for each chunk that it reads.
    image = np.concatenate([stored.numbers((*last, part, slice(None, None, step))) for part in bands])
    return scaled(np.abs(image) if image.dtype.kind == "c" else image, stored), step


def scaled(data: "np.ndarray[Any, Any]", stored: StoredDataset) -> "np.ndarray[Any, Any]":
    """Return stored numbers in the unit in which they are shown."""
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    scale = stored.display.scale
    return data if scale == 1 else data / scale


def _real(data: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.asarray(np.abs(data) if data.dtype.kind == "c" else data, dtype=float)

"""Values as people see them: never longer than asked for, without control characters, and never an exception."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from devicedb.printable import printable
from rexec.ground.clock import local_time
from rexec.ground.plain import MASKED, MASKED_SCALAR, Converted, Unreadable
from rexec.ground.quantities import Display, display_of, integer
from rexec.results.journal._decode import DEEPEST, decode
from rexec.results.journal._encode import encode
from rexec.results.reading.stored import StoredDataset

WIDTH: Final = 60
"""Characters of a value in a table."""

MOST_READ: Final = 80_000_000
"""Bytes of a dataset that is read to tell its range in a table."""

_MOST_ITEMS: Final = 10_000
"""Texts and the like that are read for a table."""

_PIECE: Final = 4_000_000
"""Bytes that are read at a time."""

_SAFE: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})

_EDGE: Final = 3
"""Elements at each end of a long axis that are printed."""


def shown(value: Any, metadata: Mapping[str, Any], width: int = WIDTH) -> tuple[str, str]:
    """Return a dataset's value as text, in the unit of its metadata, and that unit.

    Numbers are written out, arrays are told by type, shape and range; where some are NaN (a scan that goes on), by how
    many are there.
    """
    display = display_of(metadata)
    try:
        text = _text(_plain(value), display, width)
    except Exception as error:  # any class may stand in a dataset
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return text, printable(display.unit)


def _plain(value: Any) -> Any:
    """Return a value as journal and file have it, where its class says nothing of what it can do."""
    kind = type(value)
    if kind in _SAFE or (kind is np.ndarray and not value.dtype.hasobject):
        return value
    # NumPy counts its timedelta64 among the integers.
    if isinstance(value, np.number) and value.dtype.kind in "iufc":
        return value
    if (kind is list or kind is tuple) and set(map(type, value)) <= _SAFE:
        return value
    return decode(encode(value, DEEPEST))[0]


def _text(value: Any, display: Display, width: int) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float) or (isinstance(value, np.number) and value.dtype.kind in "iuf"):
        return display.number(value)
    if isinstance(value, np.complexfloating):
        return str(value)  # its repr names the class
    if type(value) is Unreadable:
        return _one_line(value.text[: 10 * width], width)
    mask = None
    if type(value) is Converted:
        mask = value.beside.get("mask") if value.type_name == MASKED else None
        if value.type_name == MASKED_SCALAR:
            return "masked"
        value = value.data
    array = _numeric(value)
    if array is None:
        return short(value, width)
    if not array.ndim and mask is None:
        return _text(array[()], display, width)
    found = Range.of(array if mask is None else array[~np.asarray(mask, bool)])
    return summary(str(array.dtype), array.shape, found, display)


class Range:
    """The smallest and largest of numbers that come in pieces, and how many there are that are not NaN."""

    def __init__(self) -> None:
        self.low: Any = None
        self.high: Any = None
        self.there = 0

    @classmethod
    def of(cls, array: "np.ndarray[Any, Any]") -> "Range | None":
        """Return the range of an array; None: it has none (complex numbers, text, nothing at all)."""
        if array.dtype.kind not in "iuf":
            return None
        found = cls()
        found.add(array)
        return found

    def add(self, piece: "np.ndarray[Any, Any]") -> None:
        """Take a piece into account."""
        there = piece[~np.isnan(piece)] if piece.dtype.kind == "f" else piece.reshape(-1)
        if not there.size:
            return
        low, high = there.min(), there.max()
        self.low = low if self.low is None or low < self.low else self.low
        self.high = high if self.high is None or high > self.high else self.high
        self.there += there.size


def summary(dtype: str, shape: tuple[int, ...], found: Range | None, display: Display) -> str:
    """Return what an array is in one line: "float64 21, 3 of 21 points, 1.5 to 2"."""
    text = f"{dtype} {' x '.join(map(str, shape))}".rstrip()
    size = math.prod(shape)
    if found is None or not size:
        return text
    if found.there < size:
        text += f", {found.there} of {size} points"
    return (
        text if found.low is None else f"{text}, {display.number(found.low)} to {display.number(found.high)}"
    )


def short(value: Any, width: int) -> str:
    """Return any value in one line of at most `width` characters; the rest of a long one is not even looked at."""
    if isinstance(value, np.ndarray) and value.ndim:
        return summary(str(value.dtype), value.shape, None, Display())
    text = f"{value[: width + 1]!r}" if isinstance(value, str) else _Repr(width).repr(value)
    return _one_line(text, width)


def _one_line(text: str, width: int) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


class _Repr(reprlib.Repr):
    """`repr` of a part of a value, and of what cannot say what it is, its type."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = (
            width // 2
        )
        self.maxstring = self.maxother = self.maxlong = width + 8

    def repr_int(self, x: int, level: int) -> str:
        return integer(x)

    def repr_Converted(self, x: Converted, level: int) -> str:  # noqa: N802 - reprlib looks for the class's name
        return "masked" if x.type_name == MASKED_SCALAR else self.repr1(x.data, level)

    def repr_Unreadable(self, x: Unreadable, level: int) -> str:  # noqa: N802 - reprlib looks for the class's name
        return x.text[: self.maxother]

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            return repr(x)[: self.maxother]
        except Exception as error:  # any class may stand in a dataset
            return f"<{type(x).__name__}, whose repr raises {type(error).__name__}>"


def moment(seconds: float, timespec: str = "seconds") -> str:
    """Return a time as date and time of day, here; one that no calendar has as a number."""
    try:
        return local_time(seconds).isoformat(" ", timespec)
    except (OverflowError, ValueError):
        return f"{seconds!r} s"


def corners(data: Any, shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    """Return an array without the middle of its long axes, so that printing it shows the ends and an ellipsis.

    Args:
        data: An array, or what reads only what it is asked for (a dataset of a file).
        shape: Its shape.

    """

    def read(index: tuple[slice, ...]) -> "np.ndarray[Any, Any]":
        axis = len(index)
        if axis == len(shape):
            return np.asarray(data[index])
        return np.concatenate([read((*index, part)) for part in _ends(shape[axis])], axis=axis)

    return read(()) if shape else np.asarray(data[()])


def _ends(length: int) -> list[slice]:
    if length <= 2 * _EDGE + 1:
        return [slice(None)]
    return [slice(0, _EDGE + 1), slice(length - _EDGE, length)]


def stored_shown(stored: StoredDataset) -> tuple[str, str]:
    """Return a stored dataset as `shown` does a value; what is too large to be read for a table has no range.

    Raises:
        ResultsError: It cannot be read.

    """
    metadata = stored.metadata
    display = display_of(metadata)
    if not stored.has_data():
        return "no data", printable(display.unit)
    number = stored.number()
    if number is not None:
        return _text(number, display, WIDTH), printable(display.unit)
    shape = stored.shape
    if stored.size > 1 and stored.is_numeric():
        found = range_of(stored) if stored.nbytes <= MOST_READ else None
        return summary(str(stored.dtype), shape, found, display), printable(display.unit)
    if stored.nbytes > MOST_READ or stored.size > _MOST_ITEMS:
        return printable(summary(str(stored.dtype), shape, None, display)), printable(display.unit)
    return shown(stored.value, metadata)


def range_of(stored: StoredDataset) -> Range | None:
    """Return the range of stored numbers, read in pieces; None: they have none (complex numbers)."""
    if stored.dtype.kind not in "iuf":
        return None
    found = Range()
    row = max(stored.nbytes // stored.shape[0], 1)
    step = max(_PIECE // row, 1)
    for begin in range(0, stored.shape[0], step):
        found.add(stored.numbers(slice(begin, begin + step)))
    return found


def _numeric(value: Any) -> "np.ndarray[Any, Any] | None":
    """Return a value as an array if it is one, or a list that makes one of numbers."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biufc" else None
    if not isinstance(value, list | tuple) or not value:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or integers of over 64 bits
        return None
    return array if array.dtype.kind in "biufc" else None

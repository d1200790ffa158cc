"""What the items of a list must share to be rows of one array, and lists back from such arrays."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import h5py
import numpy as np

from rexec.ground.kept import KeptArray, loaded
from rexec.ground.padding import without_padding

_INT64: Final = range(-(2**63), 2**63)
NUMBERS: Final[dict[type, Any]] = {int: np.int64, float: np.float64, complex: np.complex128, bool: np.bool_}
_COMPARABLE: Final = frozenset({*NUMBERS, str, bytes})
"""Classes whose lists Python compares fast; neither NaN nor arrays are among equal ones."""

_BY_NAME: Final = {kind.__name__: dtype for kind, dtype in NUMBERS.items()}
_AT_ONCE: Final = 2**22
"""Bytes of rows that are in memory at a time."""

MOST_DIMENSIONS: Final = 32
"""What HDF5 takes."""


def row_of(value: Any) -> str | None:
    """Return what two items of a list must share to be rows of one array, or None if it can be no row."""
    kind = type(value)
    if kind is KeptArray:
        return f"ndarray {value.dtype.str} {value.shape}" if 0 < len(value.shape) < MOST_DIMENSIONS else None
    if kind is int:
        return "int" if value in _INT64 else None
    if kind in NUMBERS:
        return kind.__name__
    if kind is str:
        return "str" if is_storable(value) else None
    if kind is np.ndarray and 0 < value.ndim < MOST_DIMENSIONS and is_plain(value.dtype):
        return f"ndarray {value.dtype.str} {value.shape}"
    if isinstance(value, np.generic) and is_plain(value.dtype):
        return f"npscalar {value.dtype.str}"
    return None


def rows_array(row: str, items: list[Any]) -> tuple[Any, Any]:
    """Return (data, HDF5 type or None) for one or more items that all fit the row type `row`."""
    if row == "str":
        return np.array(items, dtype=object), h5py.string_dtype()
    if row in _BY_NAME:
        return np.array(items, dtype=_BY_NAME[row]), None
    # NumPy makes rows of the other byte order native.
    items = [loaded(item) for item in items]
    return without_padding(np.array(items, dtype=np.dtype(row.split()[1]).newbyteorder("="))), None


def fits_row(row: str, items: list[Any]) -> bool:
    """Return whether all items can be rows of the type `row`, without any loss."""
    if not row.startswith("number "):
        return all(row_of(item) == row for item in items)
    dtype = np.dtype(row.split()[1])
    if not all(type(item) in NUMBERS or isinstance(item, np.generic) for item in items):
        return False
    try:
        array = np.asarray(items)
        return (
            array.ndim == 1
            and np.promote_types(array.dtype, dtype) == dtype
            and same(array.astype(dtype).tolist(), items)
        )
    except (TypeError, ValueError, OverflowError):
        return False


def rows_at_once(items: list[Any]) -> int:
    """Return how many rows are written at a time: a list of arrays that are not in memory must not come to be there."""
    return max(1, _AT_ONCE // max(items[0].nbytes, 1)) if type(items[0]) is KeptArray else max(1, len(items))


def list_row(items: list[Any] | tuple[Any, ...]) -> str | None:
    """Return the row type that all items share, or None."""
    if not items:
        return None
    row = row_of(items[0])
    if row is None:
        return None
    if row in {"float", "complex", "bool"}:
        return row if len(set(map(type, items))) == 1 else None
    return row if all(row_of(item) == row for item in items) else None


def is_plain(dtype: "np.dtype[Any]") -> bool:
    """Return whether arrays of a type are numbers as HDF5 has them."""
    return dtype.kind in "biufc" and is_storable_type(dtype)


@lru_cache(maxsize=256)
def is_storable_type(dtype: "np.dtype[Any]") -> bool:
    """Return whether HDF5 has a type for arrays of this one."""
    if dtype.kind not in "biufcSV" or not dtype.itemsize:
        return False
    try:
        h5py.h5t.py_create(dtype, logical=True)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def back_from_rows(words: list[str], data: Any) -> Any:
    """Return the list or tuple that an array of numbers was made of, by the words of `rexec_type`."""
    leaf = words[-1]
    levels = words[:-1] if leaf not in {"list", "tuple"} else words
    if leaf == "ndarray" and len(levels) == 1:
        return container(levels[0])(np.array(row) for row in data)
    if leaf == "npscalar" and len(levels) == 1:
        return container(levels[0])(data)
    return _nested(levels[: data.ndim], data.tolist())


def _nested(containers: list[str], items: Any) -> Any:
    if not containers:
        return items
    return container(containers[0])(_nested(containers[1:], item) for item in items)


def container(name: str) -> Callable[[Iterable[Any]], Any]:
    """Return the class of a name in `rexec_type`.

    Raises:
        ValueError: It is neither list nor tuple.

    """
    if name not in {"list", "tuple"}:
        raise ValueError(f"a sequence is a list or a tuple, not {name!r}")
    return list if name == "list" else tuple


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal at every depth, where 1 is 1.0 and True, and NaN itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray) or one.shape != other.shape:
            return False
        return one.dtype == other.dtype and (np.array_equal(one, other) or same(one.tolist(), other.tolist()))
    if isinstance(one, list | tuple):
        if type(one) is not type(other) or len(one) != len(other):
            return False
        return (set(map(type, other)) <= _COMPARABLE and one == other) or all(map(same, one, other))
    try:
        return bool(one == other) or bool(one != one and other != other)  # NaN
    except (TypeError, ValueError):  # structures that NumPy does not compare
        return False


def is_storable(text: str) -> bool:
    """Return whether HDF5's strings hold this text: no NUL, no lone surrogate."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable(text: str) -> str:
    """Return text as HDF5's strings can hold it; what they cannot is escaped."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()

"""The form that a Python value takes in HDF5, and the way back: every value has one.

ARTIQ's own forms (the table in docs/explanation/journal.md) are used wherever they hold the value; the
attribute `rexec_type` then says what Python type it was. Everything else is kept as text or opaque bytes, and
the attribute `rexec_form` says as which: `vlen`, `pyon`, `journal` or `repr`.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import h5py
import numpy as np

from rexec.results._codec import Unreadable, encode
from rexec.wire import pyon

_INT64: Final = range(-(2**63), 2**63)
_NUMBERS: Final[dict[type, Any]] = {int: np.int64, float: np.float64, complex: np.complex128, bool: np.bool_}


@dataclass(frozen=True)
class Form:
    """What is written for one value.

    Attributes:
        data: What h5py gets.
        dtype: The HDF5 type where `data` alone does not tell; None otherwise.
        attributes: Attributes of the dataset that lead back to the value.
        row: For a list that can grow row by row: what all rows have in common. None: written whole.

    """

    data: Any
    dtype: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    row: str | None = None


def form_of(value: Any) -> Form:
    """Return the form of a value; pure, and total."""
    return _native(value) or _as_text(value)


def row_of(value: Any) -> str | None:
    """Return what two items of a list must share to be rows of one array, or None if it can be no row."""
    kind = type(value)
    if kind is int:
        return "int" if value in _INT64 else None
    if kind in _NUMBERS:
        return kind.__name__
    if kind is str:
        return "str" if _plain_text(value) else None
    if kind is np.ndarray and is_plain(value.dtype) and value.ndim:
        return f"ndarray {value.dtype.str} {value.shape}"
    if isinstance(value, np.generic) and is_plain(value.dtype):
        return f"npscalar {value.dtype.str}"
    return None


def rows_array(row: str, items: list[Any]) -> tuple[Any, Any]:
    """Return (data, HDF5 type or None) for one or more items that all are of the row type `row`."""
    if row == "str":
        return np.array(items, dtype=object), h5py.string_dtype()
    if row in {"int", "float", "complex", "bool"}:
        return np.array(items, dtype={kind.__name__: dtype for kind, dtype in _NUMBERS.items()}[row]), None
    return np.array(items, dtype=items[0].dtype), None


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


def _native(value: Any) -> Form | None:
    kind = type(value)
    if kind in _NUMBERS:
        if kind is int and value not in _INT64:
            return None
        return Form(_NUMBERS[kind](value), attributes={"rexec_type": kind.__name__})
    if kind is str:
        if not _plain_text(value):
            return None
        return Form(value, h5py.string_dtype(), {"rexec_type": "str"})
    if kind is bytes:
        return _bytes(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic) and is_plain(value.dtype):
        return Form(value, attributes={"rexec_type": "npscalar"})
    if kind is list or kind is tuple:
        return _sequence(value)
    if kind is Unreadable:
        return Form(
            value.text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode(),
            h5py.string_dtype(),
            {"rexec_form": "repr", "rexec_type": value.type_name},
        )
    return None


def _bytes(value: bytes) -> Form:
    if b"\0" in value:
        return Form(np.void(value), attributes={"rexec_type": "bytes"})
    return Form(value, h5py.string_dtype("ascii"), {"rexec_type": "bytes"})


def _array(value: "np.ndarray[Any, Any]") -> Form | None:
    attributes = {"rexec_type": "ndarray"}
    if is_plain(value.dtype):
        return Form(value, attributes=attributes)
    if value.dtype.names is not None and _is_packed(value.dtype):
        return Form(value, attributes=attributes)
    if value.dtype.kind in "mM":
        return Form(value.view(np.int64), attributes=attributes | {"rexec_dtype": value.dtype.str})
    if value.dtype.kind == "U" and all(map(_plain_text, value.reshape(-1).tolist())):
        return Form(value.astype(object), h5py.string_dtype(), attributes | {"rexec_dtype": value.dtype.str})
    return None


def is_plain(dtype: "np.dtype[Any]") -> bool:
    """Return whether numbers of this type are the same in HDF5: all but long doubles, which have unused bytes."""
    return dtype.kind in "biufc" and dtype.char not in "gG"


def _is_packed(dtype: "np.dtype[Any]") -> bool:
    """Return whether HDF5's compound type holds a structure as it is: numbers only, no bytes between them."""
    if dtype.names is None:
        return is_plain(dtype.base)
    fields = [dtype[name] for name in dtype.names]
    return sum(field.itemsize for field in fields) == dtype.itemsize and all(map(_is_packed, fields))


def _sequence(value: list[Any] | tuple[Any, ...]) -> Form | None:
    outer = type(value).__name__
    if not value:
        return Form(np.empty(0), attributes={"rexec_type": outer}, row="" if outer == "list" else None)
    row = list_row(value)
    if row is not None:
        data, dtype = rows_array(row, list(value))
        return Form(
            data, dtype, {"rexec_type": f"{outer} {row.split()[0]}"}, row if outer == "list" else None
        )
    return _numbers(value, outer) or _ragged(value, outer)


def _numbers(value: list[Any] | tuple[Any, ...], outer: str) -> Form | None:
    """Mixed numbers, and regular nested lists of numbers, where the array holds the same numbers."""
    levels = _levels(value)
    if levels is None:
        return None
    try:
        data = np.array(value)
    except (ValueError, OverflowError, TypeError):
        return None
    if data.dtype.kind not in "bifc" or data.ndim != len(levels) or not data.size:
        return None
    if not _same_numbers(data.tolist(), value):
        return None
    return Form(data, attributes={"rexec_type": " ".join([*levels, "number"])})


def _levels(value: Any) -> list[str] | None:
    """Return the type of the container at each depth, for a nesting in which each depth has one."""
    levels = []
    layer = [value]
    while layer and isinstance(layer[0], list | tuple):
        kinds = set(map(type, layer))
        if len(kinds) != 1:
            return None
        levels.append(kinds.pop().__name__)
        layer = [item for part in layer for item in part]
    if not layer or not set(map(type, layer)) <= _NUMBERS.keys():
        return None
    if not all(item in _INT64 for item in layer if type(item) is int):
        return None
    return levels


def _same_numbers(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same_numbers, one, other))
    return bool(one == other) or (one != one and other != other)  # NaN


def _ragged(value: list[Any] | tuple[Any, ...], outer: str) -> Form | None:
    """A list of one-dimensional arrays of one type and different lengths: HDF5's variable-length data."""
    if not all(type(item) is np.ndarray and item.ndim == 1 for item in value):
        return None
    dtypes = {item.dtype for item in value}
    if len(dtypes) != 1 or value[0].dtype.kind not in "iuf" or value[0].dtype.itemsize > 8:
        return None
    data = np.empty(len(value), dtype=object)
    for position, item in enumerate(value):
        data[position] = item
    attributes = {"rexec_type": f"{outer} ndarray", "rexec_form": "vlen"}
    return Form(data, h5py.vlen_dtype(dtypes.pop()), attributes)


def _as_text(value: Any) -> Form:
    attributes = {"rexec_form": "pyon", "rexec_type": type(value).__name__}
    try:
        text = pyon.encode(value)
        kept = _equal(pyon.decode(text), value)
    except (TypeError, ValueError):
        return opaque_form(value)
    # PYON forgets some things silently, such as the fields of a structured array.
    return Form(text, h5py.string_dtype("ascii"), attributes) if kept else opaque_form(value)


def _equal(one: Any, other: Any) -> bool:
    try:
        # A set may be written in another order: then equality tells.
        return encode(one) == encode(other) or bool(one == other)
    except ValueError:  # arrays inside do not compare as one truth value
        return False


def opaque_form(value: Any) -> Form:
    """Return the form that HDF5 takes for any value: the bytes that the journal has of it."""
    attributes = {"rexec_form": "journal", "rexec_type": type(value).__name__}
    return Form(np.frombuffer(encode(value), np.uint8), attributes=attributes)


def _plain_text(text: str) -> bool:
    """Return whether HDF5's strings hold this text: no NUL, no lone surrogate."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


__all__ = ["Form", "form_of", "list_row", "opaque_form", "row_of", "rows_array"]

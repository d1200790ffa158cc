"""The form that a plain value takes in HDF5; `values` is the way back.

The form is what h5py makes of `group[key] = value`: NumPy's conversion, strings of variable length. The attribute
`rexec_type` says which Python containers it was, `rexec_class` of which other class. What the conversion loses is kept
in `Form.beside`. Only what no conversion takes is kept as text or opaque bytes, marked by `rexec_form`: `vlen`, `pyon`,
`journal` or `repr`.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import h5py
import numpy as np

from rexec.ground.padding import without_padding
from rexec.ground.plain import ENUM_ARRAY, MASKED_SCALAR, Converted, TooDeep, Unreadable
from rexec.results.hdf5.rows import (
    MOST_DIMENSIONS,
    NUMBERS,
    back_from_rows,
    is_plain,
    is_storable,
    is_storable_type,
    list_row,
    rows_array,
    same,
    storable,
)
from rexec.results.journal._decode import DEEPEST, decode
from rexec.results.journal._encode import encode
from rexec.wire import pyon

EXACT: Final = "exact"
"""Part beside a dataset that has the whole value, where the array alone does not lead back to it."""


@dataclass(frozen=True)
class Form:
    """What is written for one value.

    Attributes:
        data: What h5py gets.
        dtype: The HDF5 type where `data` alone does not tell; None otherwise.
        attributes: Attributes of the dataset that lead back to the value.
        row: For a list that can grow row by row: what all rows have in common. None: written whole.
        beside: What belongs to the value and is no part of the array, by name: plain values.

    """

    data: Any
    dtype: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    row: str | None = None
    beside: dict[str, Any] = field(default_factory=dict)


def form_of(value: Any) -> Form:
    """Return the form of a value; pure, and total for every value that the journal takes."""
    make = _FORMS.get(type(value))
    if make is None and not isinstance(value, np.generic):
        value = decode(encode(value))[0]
        make = _FORMS.get(type(value))
    try:
        form = _array(np.asarray(value), "npscalar") if make is None else make(value)
    except Exception:  # NumPy raises errors of any class for what it refuses, also SystemError
        form = None
    return form or _as_text(value)


def _number(value: Any) -> Form | None:
    array = np.asarray(value)
    attributes = {"rexec_type": type(value).__name__}
    return Form(array[()], attributes=attributes) if is_plain(array.dtype) else None


def _str(value: str) -> Form | None:
    return Form(value, h5py.string_dtype(), {"rexec_type": "str"}) if is_storable(value) else None


def _bytes(value: bytes) -> Form:
    if b"\0" in value:
        return Form(np.void(value), attributes={"rexec_type": "bytes"})
    return Form(value, h5py.string_dtype("ascii"), {"rexec_type": "bytes"})


def _array(value: "np.ndarray[Any, Any]", word: str = "ndarray") -> Form | None:
    if value.ndim > MOST_DIMENSIONS:
        return None
    attributes = {"rexec_type": word}
    if is_storable_type(value.dtype):
        data = without_padding(value)
        beside = {EXACT: value} if _has_titles(value.dtype) else {}
        return Form(data[()] if word == "npscalar" else data, None, attributes, beside=beside)
    if value.dtype.kind in "mM":
        return Form(value.view(np.int64), None, attributes | {"rexec_dtype": value.dtype.str})
    if value.dtype.kind == "U":
        return _texts(value, attributes | {"rexec_dtype": value.dtype.str})
    return (
        _objects(value, attributes | {"rexec_dtype": "|O"})
        if value.dtype.kind == "O" and value.ndim
        else None
    )


def _has_titles(dtype: "np.dtype[Any]") -> bool:
    return dtype.fields is not None and any(len(found) > 2 for found in dtype.fields.values())


def _texts(value: Any, attributes: dict[str, Any]) -> Form | None:
    """Return an array of strings of variable length, or None where one of them has a NUL or is no UTF-8."""
    data = np.empty(np.shape(value), object)
    data[...] = value
    leaves = data.reshape(-1).tolist()
    if all(type(leaf) is bytes and b"\0" not in leaf for leaf in leaves):
        return Form(data, h5py.string_dtype("ascii"), attributes)
    if all(isinstance(leaf, str) and is_storable(leaf) for leaf in leaves):
        return Form(data, h5py.string_dtype(), attributes)
    return None


def _objects(value: "np.ndarray[Any, Any]", attributes: dict[str, Any]) -> Form | None:
    items = value.reshape(-1).tolist()
    if {type(item) for item in items} <= {str} or {type(item) for item in items} <= {bytes}:
        return _texts(value, attributes)
    if value.ndim == 1 and (form := _ragged(items, attributes)) is not None:
        return form
    data = np.asarray([_bare(item) for item in items])
    if data.ndim != 1 or not is_storable_type(data.dtype):
        return None
    beside = {} if same(data.tolist(), items) else {EXACT: value}
    return Form(data.reshape(value.shape), None, attributes, beside=beside)


def _sequence(value: list[Any] | tuple[Any, ...]) -> Form | None:
    outer = type(value).__name__
    if not value:
        return Form(np.empty(0), None, {"rexec_type": outer}, "" if outer == "list" else None)
    row = list_row(value)
    if row is None:
        return _by_numpy(value) or _ragged(value, {"rexec_type": f"{outer} ndarray"})
    data, dtype = rows_array(row, list(value))
    return Form(data, dtype, {"rexec_type": f"{outer} {row.split()[0]}"}, row if outer == "list" else None)


def _by_numpy(value: list[Any] | tuple[Any, ...]) -> Form | None:
    """Return what NumPy makes of a list of anything, as h5py would have it."""
    bare: Any = value
    levels, leaves = _levels(value)
    kinds = set(map(type, leaves))
    if Converted in kinds or np.ndarray in kinds:
        bare = _bare(value)
        levels, leaves = _levels(bare)
        kinds = set(map(type, leaves))
    is_bytes = kinds == {bytes}
    if is_bytes or (kinds and all(issubclass(kind, str) for kind in kinds)):
        words = [*levels, "bytes" if is_bytes else "str"]
        form = _texts(np.array(bare, dtype=object), {"rexec_type": " ".join(words)})
        if form is None or form.data.ndim != len(levels):
            return None
        return _exact(form, words, form.data, value)
    try:
        data = np.asarray(bare)
    except (TypeError, ValueError, OverflowError):
        return None  # ragged, or of types that have no common one
    words = [*levels, "ndarray" if kinds == {np.ndarray} else "npscalar" if _are_numpy(kinds) else "number"]
    attributes = {"rexec_type": " ".join(words)}
    if data.ndim > MOST_DIMENSIONS:
        return None
    if data.dtype.kind in "mM" and data.ndim == len(levels):
        attributes["rexec_dtype"] = data.dtype.str
        return _exact(Form(data.view(np.int64), None, attributes), words, data, value)
    if not is_storable_type(data.dtype):
        return None
    form = Form(without_padding(data), None, attributes)
    is_plain_nesting = bare is value and kinds <= NUMBERS.keys() and _is_uniform(value, levels)
    if not is_plain_nesting or not same(data.reshape(-1).tolist(), leaves):
        form = _exact(form, words, data, value)
    grows = type(value) is list and data.ndim == 1 and data.dtype.kind in "biufc" and not form.beside
    return replace(form, row=f"number {data.dtype.str}") if grows else form


def _exact(form: Form, words: list[str], data: Any, value: Any) -> Form:
    """Return a form with the whole value beside it, where the array alone does not lead back to it."""
    is_same = not _has_titles(data.dtype) and same(back_from_rows(words, data), value)
    return form if is_same else replace(form, beside={EXACT: value})


def _is_uniform(value: Any, levels: list[str]) -> bool:
    """Return whether each depth of a nested list has one class of container."""
    layer = [value]
    for _ in levels:
        if len(set(map(type, layer))) != 1:
            return False
        layer = [item for part in layer for item in part] if layer[0] else layer
    return True


def _are_numpy(kinds: set[type]) -> bool:
    return all(issubclass(kind, np.generic) for kind in kinds)


def _bare(value: Any) -> Any:
    """Return a value without what NumPy does not take over: classes, masks, coordinates."""
    if type(value) is Converted:
        # NumPy makes NaN of a masked number in a list.
        return np.nan if value.type_name == MASKED_SCALAR else _bare(value.data)
    if type(value) is list or type(value) is tuple:
        return type(value)(map(_bare, value))
    if type(value) is np.ndarray and value.dtype.kind == "O":
        return _bare(value.tolist())  # h5py looks for strings in such arrays as in lists
    return value


def _levels(value: Any) -> tuple[list[str], list[Any]]:
    """Return the container at each depth of a nested list, and what is in the innermost."""
    levels: list[str] = []
    layer = [value]
    while layer and set(map(type, layer)) <= {list, tuple}:
        levels.append(type(layer[0]).__name__)
        layer = [item for part in layer for item in part]
    return levels, layer


def _ragged(items: list[Any] | tuple[Any, ...], attributes: dict[str, Any]) -> Form | None:
    """Return one-dimensional arrays of one type and different lengths as HDF5's variable-length data."""
    if not items or not all(type(item) is np.ndarray and item.ndim == 1 for item in items):
        return None
    dtypes = {item.dtype for item in items}
    if len(dtypes) != 1 or items[0].dtype.kind not in "iuf" or items[0].dtype.itemsize > 8:
        return None
    data = np.empty(len(items), dtype=object)
    for position, item in enumerate(items):
        data[position] = item
    return Form(data, h5py.vlen_dtype(dtypes.pop()), attributes | {"rexec_form": "vlen"})


def _converted(value: Converted) -> Form:
    form = form_of(value.data)
    beside = {**value.beside, **form.beside}
    attributes = form.attributes | {"rexec_class": storable(value.type_name)}
    if value.type_name == ENUM_ARRAY:
        mapping = {str(name): int(number) for name, number in value.beside["enum"].items()}
        dtype = h5py.enum_dtype(mapping, basetype=value.data.dtype)
        return Form(form.data, dtype, attributes)
    return Form(form.data, form.dtype, attributes, beside=beside)


def _unreadable(value: Unreadable) -> Form:
    attributes = {"rexec_form": "repr", "rexec_type": storable(value.type_name)}
    return Form(storable(value.text), h5py.string_dtype(), attributes)


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
    attributes = {"rexec_form": "journal", "rexec_type": storable(type(value).__name__)}
    try:
        data = encode(value, DEEPEST)
    except TooDeep as error:  # by changes in place, in a journal that this program has not written
        return form_of(Unreadable(f"<{type(value).__name__}: {error}>", type(value).__name__))
    return Form(np.frombuffer(data, np.uint8), attributes=attributes)


_FORMS: Final[dict[type, Callable[[Any], Form | None]]] = {
    **dict.fromkeys((int, float, complex, bool), _number),
    str: _str,
    bytes: _bytes,
    list: _sequence,
    tuple: _sequence,
    np.ndarray: _array,
    Converted: _converted,
    Unreadable: _unreadable,
    # What no conversion takes.
    **dict.fromkeys((type(None), dict, OrderedDict, set, frozenset, slice, type(...)), lambda _: None),
}

"""Single numbers and texts by HDF5's own calls, because h5py's generality cost half of the time of a run's end.

What is written is what h5py writes: types, names in UTF-8, groups on the way, no times.
"""

from functools import lru_cache
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t

_TEXT: Final = h5py.string_dtype()
_KINDS: Final = "biuf"


def is_lean(data: Any, dtype: Any) -> bool:
    """Return whether data, and the HDF5 type that it is to have, are a single number or text."""
    if dtype is None:
        return isinstance(data, np.generic) and data.dtype.kind in _KINDS
    return type(data) is str and dtype == _TEXT


def create_dataset(group: h5py.Group, name: str, data: Any) -> h5py.Dataset:
    """Create a dataset of a single number or text (`is_lean`)."""
    array = _as_array(data)
    parent, _, name = name.rpartition("/")
    where = group.require_group(parent) if parent else group
    space = h5s.create(h5s.SCALAR)
    created = h5d.create(where.id, name.encode(), _type(array.dtype), space, _options(), None)
    created.write(h5s.ALL, h5s.ALL, array)
    return h5py.Dataset(created)


def set_attribute(dataset: h5py.Dataset, name: str, value: Any) -> None:
    """Set an attribute to a number or a text; the number has the type of the one that is there, if there is one."""
    array, encoded = _as_array(value), name.encode()
    if h5a.exists(dataset.id, encoded):
        if array.dtype.kind == "O":
            dataset.attrs[name] = value
            return
        attribute = h5a.open(dataset.id, encoded)
    else:
        attribute = h5a.create(dataset.id, encoded, _type(array.dtype), h5s.create(h5s.SCALAR))
    attribute.write(array)


def stored_number(group: h5py.Group, name: str) -> tuple[Any, int] | None:
    """Return a single number in a file and the checksum beside it; None where it is anything else, or marked."""
    try:
        found = h5d.open(group.id, name.encode())
        if found.shape != () or h5a.exists(found, b"rexec_form") or h5a.exists(found, b"rexec_class"):
            return None
        array = np.empty((), found.dtype)
        if array.dtype.kind not in _KINDS:
            return None
        found.read(h5s.ALL, h5s.ALL, array)
        crc = np.empty((), np.uint32)
        h5a.open(found, b"rexec_crc32").read(crc)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError):
        return None
    return array[()], int(crc)


def _as_array(data: Any) -> "np.ndarray[Any, Any]":
    return np.array(data, dtype=_TEXT if isinstance(data, str) else None)


@lru_cache(maxsize=64)
def _type(dtype: "np.dtype[Any]") -> Any:
    return h5t.py_create(dtype, logical=True)


@lru_cache(maxsize=1)
def _options() -> Any:
    options = h5p.create(h5p.DATASET_CREATE)
    options.set_obj_track_times(False)
    return options

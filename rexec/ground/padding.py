"""Bytes of NumPy's types that belong to no number: between the fields of a structure, and behind a long double."""

from functools import lru_cache
from typing import Any, Final

import numpy as np

_X87_BYTES: Final = 10 if np.finfo(np.longdouble).nmant == 63 else np.dtype(np.longdouble).itemsize


def without_padding(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return a contiguous array whose unused bytes are zero, so that equal numbers have equal bytes."""
    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.char not in "gGV" or not contiguous.nbytes:
        return contiguous
    unused = _unused(array.dtype)
    if not unused.any():
        return contiguous
    copy = contiguous.copy()
    copy.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)[:, unused] = 0
    return copy


@lru_cache(maxsize=64)
def _unused(dtype: "np.dtype[Any]") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return for each byte of a type whether it is unused."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.tile(_unused(base), int(np.prod(shape)))
    unused = np.zeros(dtype.itemsize, bool)
    if dtype.fields is not None and dtype.names is not None:
        unused[:] = True
        for name in dtype.names:
            field, offset = dtype.fields[name][:2]
            unused[offset : offset + field.itemsize] &= _unused(field)
    elif dtype.char in "gG":
        unused.reshape(-1, np.dtype(np.longdouble).itemsize)[:, _X87_BYTES:] = True
    return unused

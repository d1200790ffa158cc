"""Space on the disk for what is about to be written: the HDF5 library may crash where a write fails, so none must.

Where the system can reserve space for a file, a full disk is an error here, before the library has begun.
"""

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from devicedb.opening import once_free, open_bytes
from rexec.ground.kept import KeptArray
from rexec.ground.plain import Converted, Unreadable
from rexec.ground.space import keep_space

NUMBER: Final = 16
"""Bytes of a number in a list, at the most, and of the reference to a text."""


def upper_size(value: Any) -> int:
    """Return bytes that a value takes in an HDF5 file at the most."""
    size = _size(value)
    # What NumPy's conversion loses is kept a second time, whole.
    return size if isinstance(value, _ONCE) or type(value) is np.ndarray else 2 * size


_ONCE: Final = (int, float, complex, str, bytes, np.generic)


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 6 * len(value) + 64
    if isinstance(value, dict):
        return 4096 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, Converted):
        return 8192 + _size(value.data) + _size(value.beside)
    if isinstance(value, Unreadable):
        return 6 * len(value.text) + 4096
    if type(value) is KeptArray:
        return value.nbytes
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return 4096 + sum(map(_size, value.reshape(-1)))
    if isinstance(value, np.ndarray):
        # Text of an array of any other type may be longer than its bytes.
        return int(value.nbytes) * (1 if value.dtype.kind in "biufc" else 6) + 4096
    if isinstance(value, list | tuple | set | frozenset):
        kinds = set(map(type, value))
        if kinds <= {int, float, complex, bool}:
            return 4096 + (NUMBER if int not in kinds else 24) * len(value)
        return 4096 + NUMBER * len(value) + sum(map(_size, value))
    return 4096


def reserve(path: Path, size: int) -> None:
    """Have the system keep so many bytes for a file, or raise OSError; HDF5 cuts it to what it uses."""
    descriptor = once_free(lambda: open_bytes(path, os.O_RDWR))
    try:
        keep_space(descriptor, size)
    finally:
        os.close(descriptor)


def write_empty(path: Path) -> None:
    """Write an HDF5 file without anything in it, by a plain write."""
    once_free(lambda: path.write_bytes(_empty()))


@lru_cache(maxsize=1)
def _empty() -> bytes:
    image = io.BytesIO()
    with h5py.File(image, "w"):
        pass
    return image.getvalue()

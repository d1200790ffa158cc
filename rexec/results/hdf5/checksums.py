"""Checksums of what an HDF5 dataset holds, equal whether computed from memory or from the file."""

import math
import zlib
from typing import Any, Final

import h5py
import numpy as np

from rexec.ground.padding import without_padding

_PIECE: Final = 1 << 24
"""Bytes that are read at a time."""


def checksum(data: Any, start: int = 0) -> int:
    """Return the CRC-32 of a dataset's content.

    Numbers count by their bytes in C order, those that no number uses as zero; strings by their UTF-8 with a NUL behind
    each; variable-length rows by their length and bytes. Hence the checksum of a list is that of its rows one after
    another.

    Args:
        data: What h5py was given or has read: an array, a scalar, str or bytes.
        start: Checksum of the rows before.

    """
    if isinstance(data, str):
        return zlib.crc32(data.encode() + b"\0", start)
    if isinstance(data, bytes):
        return zlib.crc32(data + b"\0", start)
    array = np.asarray(data)
    if array.dtype.kind != "O":
        return (
            zlib.crc32(without_padding(array).reshape(-1).view(np.uint8).data, start)
            if array.nbytes
            else start
        )
    for item in array.reshape(-1):
        if isinstance(item, np.ndarray):
            start = zlib.crc32(len(item).to_bytes(8, "little"), start)
        start = checksum(item, start)
    return start


def checksum_in_file(node: h5py.Dataset) -> int:
    """Return the checksum of a dataset, read in pieces: it is that of its rows one after another."""
    return 0 if node.shape is None else _of_part(node, (), node.shape, 0)


def _of_part(node: h5py.Dataset, index: tuple[int, ...], shape: tuple[int, ...], start: int) -> int:
    if not shape or math.prod(shape) * node.dtype.itemsize <= _PIECE:
        return checksum(node[index], start)
    row = math.prod(shape[1:]) * node.dtype.itemsize
    if row > _PIECE:
        for number in range(shape[0]):
            start = _of_part(node, (*index, number), shape[1:], start)
        return start
    step = _PIECE // row
    for begin in range(0, shape[0], step):
        start = checksum(node[(*index, slice(begin, begin + step))], start)
    return start

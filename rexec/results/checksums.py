"""Checksums of what an HDF5 dataset holds, equal whether computed from memory or from the file."""

import zlib
from typing import Any

import numpy as np


def checksum(data: Any, start: int = 0) -> int:
    """Return the CRC-32 of a dataset's content.

    Numbers count by their bytes in C order, strings by their UTF-8 with a NUL behind each, variable-length rows by
    their length and bytes. Hence the checksum of a list is that of its rows one after another.

    Args:
        data: What h5py was given or has read: an array, a scalar, str or bytes.
        start: Checksum of the rows before.

    """
    if isinstance(data, str):
        return zlib.crc32(data.encode() + b"\0", start)
    if isinstance(data, bytes):
        return zlib.crc32(data + b"\0", start)
    if isinstance(data, np.void) and data.dtype.names is None:
        return zlib.crc32(data.tobytes(), start)
    array = np.asarray(data)
    if array.dtype.kind != "O":
        return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, start)
    for item in array.reshape(-1):
        if isinstance(item, np.ndarray):
            start = zlib.crc32(len(item).to_bytes(8, "little"), start)
        start = checksum(item, start)
    return start

"""Rows of lists that grow: those that are new or changed, a few at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.pace import CompressionPace
from rexec.results.hdf5.rows import fits_row, rows_array, rows_at_once
from rexec.results.hdf5.settings import stored


@dataclass
class Written:
    """What a dataset in the file holds already."""

    name: str
    generation: int
    rows: int
    row: str | None
    grows: bool
    crc: int
    changed: int
    settings: Mapping[str, Any]


def append_rows(dataset: h5py.Dataset, old: Written, rows: list[Any], pace: CompressionPace) -> bool:
    """Write the rows that a list has got since; return False where the type in the file cannot hold them."""
    if not rows:
        return True
    is_compressed = dataset.compression is not None
    is_chunk_a_row = dataset.chunks == (1, *dataset.shape[1:])
    step = rows_at_once(rows)
    for begin in range(0, len(rows), step):
        data = _rows(dataset, old, rows[begin : begin + step])
        if data is None:
            return False
        count = old.rows + len(data)
        dataset.resize(count, axis=0)
        if is_chunk_a_row and (not is_compressed or not (old.settings or pace.allows(_size(rows[begin:])))):
            _write_raw(dataset, old.rows, data)
        else:
            with pace.measured(data.nbytes if is_compressed else 0):
                dataset[old.rows : count] = data
        old.crc, old.rows = checksum(data, old.crc), count
    return True


def patch_rows(dataset: h5py.Dataset, old: Written, value: list[Any], edited: tuple[int, int]) -> bool:
    """Write rows that were changed in place; return False where the type in the file cannot hold them."""
    first, last = edited[0], min(edited[1], old.rows)
    if old.row is None or not fits_row(old.row, value[first:last]):
        return False
    if first >= last:
        return True
    crc, step = 0, rows_at_once(value)
    for begin in range(0, old.rows, step):
        rows = _rows(dataset, old, value[begin : min(begin + step, old.rows)])
        if rows is None:
            return False
        start, end = max(first, begin), min(last, begin + len(rows))
        if start < end:
            dataset[start:end] = rows[start - begin : end - begin]
        crc = checksum(rows, crc)
    old.crc = crc
    return True


def _rows(dataset: h5py.Dataset, old: Written, items: list[Any]) -> Any:
    """Return rows as the file has them, or None where its type cannot hold them."""
    if old.row is None:
        return None
    data, dtype = rows_array(old.row, items)
    if dtype is not None:
        return data
    data = stored(data, old.settings)
    return data if data is not None and data.dtype == dataset.dtype else None


def _size(rows: list[Any]) -> int:
    """Return bytes of rows, where they are arrays."""
    return len(rows) * int(getattr(rows[0], "nbytes", 0))


def _write_raw(dataset: h5py.Dataset, first: int, data: Any) -> None:
    """Write each row as the chunk that it is, past the filters: HDF5 notes for each chunk that they were left out."""
    skipped = (1 << dataset.id.get_create_plist().get_nfilters()) - 1
    for number, row in enumerate(data):
        chunk = np.ascontiguousarray(row).view(np.uint8).reshape(-1)
        dataset.id.write_direct_chunk((first + number, *(0,) * row.ndim), chunk, filter_mask=skipped)

"""Writes datasets into an HDF5 file, and changes only what changed since they were written last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import h5py
import numpy as np

from rexec.results.checksums import checksum
from rexec.results.forms import Form, row_of, rows_array
from rexec.results.item import Item
from rexec.results.names import hdf5_names
from rexec.results.reserve import upper_size
from rexec.results.storage import form_in_file, stored
from rexec.wire import pyon

COMPRESS_FROM: Final = 4096
"""Bytes from which on a dataset is chunked and compressed."""

_CHUNK: Final = 256 * 1024
_MARKS: Final = frozenset(
    {"rexec_crc32", "rexec_time", "rexec_origin", "unit", "units", "scale", "precision"}
)
_NO_SETTINGS: Final[Mapping[str, Any]] = {}


@dataclass
class _Written:
    """What a dataset in the file holds already."""

    name: str
    generation: int
    rows: int = 0
    row: str | None = None
    grows: bool = False
    crc: int = 0
    changed: int = -1
    settings: Mapping[str, Any] = field(default_factory=dict)


class GroupWriter:
    """Keeps one group of a file equal to a mapping of items.

    Args:
        name: Name of the group at the root of the file.

    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._written: dict[str, _Written] = {}
        self._names: dict[str, str] = {}

    @property
    def names(self) -> Mapping[str, str]:
        """Path of each dataset inside the group."""
        return self._names

    def upper_size(self, items: Mapping[str, Item], since: int = 0) -> int:
        """Return bytes that `update` may add to the file at the most."""
        total = 0
        for key, item in items.items():
            old = self._written.get(key)
            edited = item.edited_since(since)
            if old is not None and old.generation == item.generation:
                if old.changed == item.changed and edited is None:
                    continue
                if isinstance(item.value, list) and old.grows and edited is None:
                    total += upper_size(item.value[old.rows :]) + 4 * _CHUNK
                    continue
            size = upper_size(item.value)
            total += size + (_CHUNK if size > 2 * COMPRESS_FROM else 0)
        # Chunks may be written anew beside the old ones; groups, names and attributes come on top.
        return total + total // 50 + 4096 * len(items) + 16384

    def update(
        self,
        file: h5py.File,
        items: Mapping[str, Item],
        settings: Mapping[str, Mapping[str, Any]] = _NO_SETTINGS,
        since: int = 0,
    ) -> list[str]:
        """Bring the group up to date.

        Args:
            file: The open file.
            items: What it should hold.
            settings: Storage settings by key, as returned by `rexec.results.storage.checked_settings`.
            since: Epoch of the state when this was last called for the same file.

        Returns:
            What HDF5 refused, as text; the value is then kept without its settings, or as opaque bytes.

        """
        problems: list[str] = []
        group = file.require_group(self.name)
        if items.keys() != self._names.keys():
            self._names = hdf5_names(items)
        for key in [key for key, old in self._written.items() if self._names.get(key) != old.name]:
            self._remove(group, key)
        for key, item in items.items():
            wanted = settings.get(key, _NO_SETTINGS)
            old = self._written.get(key)
            if old is not None and old.generation == item.generation and old.settings == wanted:
                edited = item.edited_since(since)
                if old.changed == item.changed and edited is None:
                    continue
                if self._patch(group, old, item, edited):
                    _mark(group[old.name], item, old.crc)
                    old.changed = item.changed
                    continue
            self._write_somehow(group, key, item, wanted, problems)
        return problems

    def _write_somehow(
        self, group: h5py.Group, key: str, item: Item, settings: Mapping[str, Any], problems: list[str]
    ) -> None:
        """Write a whole dataset: as it should be, else without its settings, else as opaque bytes."""
        type_only = {"dtype": settings["dtype"]} if "dtype" in settings else _NO_SETTINGS
        for used, opaque in ((settings, False), (type_only, False), (_NO_SETTINGS, True)):
            form = form_in_file(item.value, used, opaque=opaque)
            try:
                self._write(group, key, item, form, used)
            except (TypeError, ValueError, OverflowError, RuntimeError, UnicodeError) as error:
                # One dataset that HDF5 refuses, or whose settings do not fit it, must never cost another.
                self._forget(group, key)
                problem = (
                    f"{self.name}/{key}: HDF5 refused it as it stands, or its storage settings ({error})"
                )
                problems += [problem] if problem not in problems else []
                continue
            # What was asked for is what the next call compares with.
            self._written[key].settings = settings
            dtype = used.get("dtype")
            if dtype is not None and group[self._names[key]].dtype != np.dtype(dtype):
                problems.append(
                    f"{self.name}/{key}: its values do not fit into {dtype}, it is kept as it was given"
                )
            return

    def _patch(self, group: h5py.Group, old: _Written, item: Item, edited: tuple[int, int] | None) -> bool:
        """Write only the rows that are new or changed; return False where the whole has to be written."""
        dataset = group[old.name]
        value = item.value
        if isinstance(value, np.ndarray):
            if edited is None or dataset.shape != value.shape or old.row is None:
                return False
            data = stored(value, old.settings)
            if data is None or data.dtype != dataset.dtype:
                return False
            dataset[edited[0] : edited[1]] = data[edited[0] : edited[1]]
            old.crc = checksum(data)
            return True
        if not isinstance(value, list) or not old.grows or not old.row:
            return False
        if any(row_of(part) != old.row for part in value[old.rows :]):
            return False
        if edited is not None and not self._patch_rows(dataset, old, value, edited):
            return False
        if len(value) > old.rows:
            data = _rows(dataset, old, value[old.rows :])
            if data is None:
                return False
            dataset.resize(len(value), axis=0)
            dataset[old.rows :] = data
            old.crc = checksum(data, old.crc)
            old.rows = len(value)
        return True

    def _patch_rows(
        self, dataset: h5py.Dataset, old: _Written, value: list[Any], edited: tuple[int, int]
    ) -> bool:
        first, last = edited[0], min(edited[1], old.rows)
        if old.row is None or any(row_of(part) != old.row for part in value[first:last]):
            return False
        if first < last:
            rows = _rows(dataset, old, value[: old.rows])
            if rows is None:
                return False
            dataset[first:last] = rows[first:last]
            old.crc = checksum(rows)
        return True

    def _write(
        self, group: h5py.Group, key: str, item: Item, form: Form, settings: Mapping[str, Any]
    ) -> None:
        name = self._names[key]
        storage = _storage(form, settings)
        old = self._written.get(key)
        if old is not None and old.settings == settings and _overwrite(group[old.name], form):
            dataset = group[old.name]
            storage = {"maxshape": None} if old.grows else {}
        else:
            if old is not None:
                self._remove(group, key)
            dataset = group.create_dataset(name, data=form.data, dtype=form.dtype, **storage)
        for attribute, text in form.attributes.items():
            dataset.attrs[attribute] = text
        if name != key:
            dataset.attrs["rexec_key"] = pyon.encode(key)
        crc = checksum(form.data)
        _mark(dataset, item, crc)
        _write_metadata(dataset, item.metadata)
        rows = len(item.value) if form.row is not None else 0
        patchable = form.row
        if isinstance(item.value, np.ndarray):
            numeric = item.value.ndim and form.dtype is None and "rexec_form" not in form.attributes
            patchable = "ndarray" if numeric and item.value.dtype.kind in "biufcV" else None
        self._written[key] = _Written(
            name, item.generation, rows, patchable, "maxshape" in storage, crc, item.changed, settings
        )

    def _forget(self, group: h5py.Group, key: str) -> None:
        if key in self._written:
            self._remove(group, key)
        elif self._names[key] in group:
            del group[self._names[key]]

    def _remove(self, group: h5py.Group, key: str) -> None:
        old = self._written.pop(key)
        del group[old.name]
        parent, _, _ = old.name.rpartition("/")
        while parent and not group[parent]:
            del group[parent]
            parent, _, _ = parent.rpartition("/")


def _rows(dataset: h5py.Dataset, old: _Written, items: list[Any]) -> Any:
    """Return rows as the file has them, or None where its type cannot hold them."""
    if old.row is None:
        return None
    data, dtype = rows_array(old.row, items)
    if dtype is not None:
        return data
    data = stored(data, old.settings)
    return data if data is not None and data.dtype == dataset.dtype else None


def _overwrite(dataset: h5py.Dataset, form: Form) -> bool:
    """Write into a dataset that has the right shape and type already; return whether it has."""
    if form.dtype is not None:
        if not (isinstance(form.data, str) and dataset.shape == () and dataset.dtype == form.dtype):
            return False
    elif np.shape(form.data) != dataset.shape or getattr(form.data, "dtype", None) != dataset.dtype:
        return False
    if {name for name in dataset.attrs if name not in _MARKS} != form.attributes.keys():
        return False
    for name in _MARKS & set(dataset.attrs):
        del dataset.attrs[name]
    dataset[...] = form.data
    return True


def _storage(form: Form, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a dataset is laid out: chunked and compressed past a size, or as its settings say."""
    if not isinstance(form.data, np.ndarray) or not form.data.ndim or not form.data.size:
        return {}
    text = form.dtype is not None
    row_size = 16 if text else int(form.data.nbytes // form.data.shape[0])
    size = row_size * form.data.shape[0]
    grows = form.row is not None and size > COMPRESS_FROM
    chunked = grows or size > COMPRESS_FROM or bool(settings)
    if not chunked:
        return {}
    storage: dict[str, Any] = {}
    chunks = settings.get("chunks")
    if chunks is not None:
        storage["chunks"] = tuple(chunks)
    elif grows:
        storage["chunks"] = (max(1, min(_CHUNK // max(row_size, 1), 65536)), *form.data.shape[1:])
        if row_size > 4 * 2**20:
            storage["chunks"] = True
    else:
        storage["chunks"] = True
    if grows:
        storage["maxshape"] = (None, *form.data.shape[1:])
    if not text:
        storage |= _compression(form.data.dtype.kind, settings)
    return storage


def _compression(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    compression = settings.get("compression", "gzip")
    if compression is None:
        return {}
    # Shuffling the bytes of a complex number mixes those of its two parts: it compresses worse than none.
    storage = {"compression": compression, "shuffle": bool(settings.get("shuffle", kind != "c"))}
    if compression == "gzip":
        storage["compression_opts"] = int(settings.get("level", 4))
    return storage


def _mark(dataset: h5py.Dataset, item: Item, crc: int) -> None:
    dataset.attrs["rexec_crc32"] = np.uint32(crc)
    dataset.attrs["rexec_time"] = item.time
    if item.origin != "run":
        dataset.attrs["rexec_origin"] = item.origin


def _write_metadata(dataset: h5py.Dataset, metadata: Mapping[str, Any]) -> None:
    """Write unit, scale and precision as ARTIQ does; what does not fit these types, as PYON beside them."""
    rest: dict[str, Any] = {}
    for name, value in metadata.items():
        if name == "unit" and isinstance(value, str) and "\0" not in value:
            dataset.attrs["unit"] = value
        elif name == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
            dataset.attrs["scale"] = np.float64(value)
        elif name == "precision" and isinstance(value, int) and abs(value) < 2**63:
            dataset.attrs["precision"] = np.int64(value)
        else:
            rest[name] = value
    if rest:
        try:
            text = pyon.encode(rest)
        except (TypeError, ValueError):
            text = pyon.encode({str(name): repr(value) for name, value in rest.items()})
        dataset.attrs["rexec_metadata"] = text[:60000]

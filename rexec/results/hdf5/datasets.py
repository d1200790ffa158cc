"""Writes datasets into an HDF5 file, and changes only what changed since they were written last."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

import h5py
import numpy as np

from rexec.ground.kept import has_kept, in_memory
from rexec.results.hdf5 import lean
from rexec.results.hdf5.beside import remove_beside, write_beside
from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.forms import Form
from rexec.results.hdf5.growing import Written, append_rows, patch_rows
from rexec.results.hdf5.names import hdf5_names
from rexec.results.hdf5.pace import CompressionPace
from rexec.results.hdf5.reserve import upper_size
from rexec.results.hdf5.rows import fits_row, list_row, rows_at_once, storable
from rexec.results.hdf5.settings import form_in_file, stored
from rexec.results.hdf5.storage import CHUNK, COMPRESS_FROM, storage_of
from rexec.results.hdf5.texts import pyon_text
from rexec.results.item import Item, RowsReleased
from rexec.wire import pyon

_MARKS: Final = frozenset(
    {"rexec_crc32", "rexec_time", "rexec_origin", "unit", "units", "scale", "precision"}
)
_NO_SETTINGS: Final[Mapping[str, Any]] = {}


class GroupWriter:
    """Keeps one group of a file equal to a mapping of items.

    Args:
        name: Name of the group at the root of the file.

    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._pace: Final = CompressionPace()
        self._written: dict[str, Written] = {}
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
                    total += upper_size(item.rows_from(old.rows)) + 4 * CHUNK
                    continue
            size = upper_size(item.value)
            total += size + (CHUNK if size > 2 * COMPRESS_FROM else 0)
        # Chunks may be written anew beside the old ones; groups, names and attributes come on top.
        return total + total // 50 + 4096 * len(items) + 16384

    def held_rows(self, key: str, item: Item, since: int) -> int | None:
        """Return how many rows of a list can be released because they are in the file and it can grow there.

        None: that is known only when it was written again, because it was set anew or was short.
        """
        old = self._written.get(key)
        if old is None or old.generation != item.generation or (old.row and not old.grows):
            return None
        return old.rows if old.row and item.edited_since(since) is None else 0

    def update(
        self,
        file: h5py.File,
        items: Mapping[str, Item],
        settings: Mapping[str, Mapping[str, Any]] = _NO_SETTINGS,
        since: int = 0,
        *,
        hurry: bool = False,
        only: Collection[str] | None = None,
    ) -> list[str]:
        """Bring the group up to date.

        Args:
            file: The open file.
            items: What it should hold.
            settings: Storage settings by key, as returned by `rexec.results.storage_settings.checked_settings`.
            since: Epoch of the state when this was last called for the same file.
            hurry: Whether a run waits for it; then it compresses only as much as there is time for.
            only: The keys that are brought up to date; None: all.

        Returns:
            What HDF5 refused, as text; the value is then kept without its settings, or as opaque bytes.

        Raises:
            RowsReleased: A list has to be written anew whose first rows are in the files alone.

        """
        problems: list[str] = []
        self._pace.begin(hurry=hurry)
        group = file.require_group(self.name)
        if items.keys() != self._names.keys():
            self._names = hdf5_names(items)
        for key in [key for key, old in self._written.items() if self._names.get(key) != old.name]:
            self._remove(group, key)
        for key in items if only is None else only:
            item = items[key]
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
            self._write_rows(group, key, item, wanted, problems)
        return problems

    def _write_rows(
        self, group: h5py.Group, key: str, item: Item, settings: Mapping[str, Any], problems: list[str]
    ) -> None:
        """Write a whole dataset; one with arrays that are not in memory a few rows at a time, where it has rows."""
        value = item.value
        if item.released:
            raise RowsReleased
        if not has_kept(value):
            self._write_somehow(group, key, item, settings, problems)
            return
        if list_row(value) is not None:
            self._write_somehow(
                group, key, replace(item, value=in_memory(value[: rows_at_once(value)])), settings, problems
            )
            if self._patch(group, self._written[key], item, None):
                _mark(group[self._names[key]], item, self._written[key].crc)
                return
        self._write_somehow(group, key, replace(item, value=in_memory(value)), settings, problems)

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

    def _patch(self, group: h5py.Group, old: Written, item: Item, edited: tuple[int, int] | None) -> bool:
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
        rows = item.rows_from(old.rows)
        if rows and not fits_row(old.row, rows):
            return False
        if edited is not None and not patch_rows(dataset, old, value, edited):
            return False
        return append_rows(dataset, old, rows, self._pace)

    def _write(
        self, group: h5py.Group, key: str, item: Item, form: Form, settings: Mapping[str, Any]
    ) -> None:
        name = self._names[key]
        storage = storage_of(form, settings)
        if "compression" in storage and not settings and not self._pace.allows(form.data.nbytes):
            storage = {name: given for name, given in storage.items() if name in {"chunks", "maxshape"}}
        old = self._written.get(key)
        if old is not None and old.settings == settings and _overwrite(group[old.name], form):
            dataset = group[old.name]
            storage = {"maxshape": None} if old.grows else {}
        else:
            if old is not None:
                self._remove(group, key)
            with self._pace.measured(form.data.nbytes if "compression" in storage else 0):
                dataset = _created(group, name, form, storage)
        for attribute, text in form.attributes.items():
            lean.set_attribute(dataset, attribute, text)
        if form.beside:
            write_beside(dataset, form.beside)
        if name != key:
            dataset.attrs["rexec_key"] = pyon.encode(key)
        crc = checksum(form.data)
        _mark(dataset, item, crc)
        _write_metadata(dataset, item.metadata)
        rows = len(item.value) if form.row is not None else 0
        patchable = form.row
        if isinstance(item.value, np.ndarray):
            patchable = "ndarray" if item.value.ndim and item.value.dtype.kind in "biufcV" else None
        self._written[key] = Written(
            name, item.generation, rows, patchable, "maxshape" in storage, crc, item.changed, settings
        )

    def _forget(self, group: h5py.Group, key: str) -> None:
        if key in self._written:
            self._remove(group, key)
        elif self._names[key] in group:
            remove_beside(group[self._names[key]])
            del group[self._names[key]]

    def _remove(self, group: h5py.Group, key: str) -> None:
        old = self._written.pop(key)
        remove_beside(group[old.name])
        del group[old.name]
        parent, _, _ = old.name.rpartition("/")
        while parent and len(group[parent]) == 0:  # as a truth value, a group tells only that it is open
            del group[parent]
            parent, _, _ = parent.rpartition("/")


def _created(group: h5py.Group, name: str, form: Form, storage: Mapping[str, Any]) -> h5py.Dataset:
    if not storage and lean.is_lean(form.data, form.dtype):
        return lean.create_dataset(group, name, form.data)
    return group.create_dataset(name, data=form.data, dtype=form.dtype, **storage)


def _overwrite(dataset: h5py.Dataset, form: Form) -> bool:
    """Write into a dataset that has the right shape and type already; return whether it has."""
    if form.beside or "rexec_beside" in dataset.attrs:
        return False
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


def _mark(dataset: h5py.Dataset, item: Item, crc: int) -> None:
    lean.set_attribute(dataset, "rexec_crc32", np.uint32(crc))
    lean.set_attribute(dataset, "rexec_time", float(item.time))
    if item.origin != "run":
        dataset.attrs["rexec_origin"] = item.origin


def _write_metadata(dataset: h5py.Dataset, metadata: Mapping[str, Any]) -> None:
    """Write unit, scale and precision as ARTIQ does; what does not fit these types, as PYON beside them."""
    rest: dict[str, Any] = {}
    for name, value in metadata.items():
        stored_as = _attribute(name, value)
        if stored_as is None:
            rest[name] = value
        else:
            dataset.attrs[name] = stored_as
    if rest:
        dataset.attrs["rexec_metadata"] = pyon_text(rest)


def _attribute(name: str, value: Any) -> Any:
    """Return a metadatum with the type that ARTIQ gives it, or None where it has none."""
    if name == "unit" and isinstance(value, str) and len(value) < 1000:
        return storable(value)
    if name == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
        return np.float64(value) if abs(value) < 2**1000 else None
    if name == "precision" and isinstance(value, int) and abs(value) < 2**63:
        return np.int64(value)
    return None

"""Datasets of a result file, ours or ARTIQ's, read when they are asked for."""

from typing import Any, Final

import h5py
import numpy as np
from h5py import h5d, h5s

from rexec.ground.quantities import Display, display_of
from rexec.results.errors import ResultsError
from rexec.results.hdf5.inside import FOREIGN_ERRORS, member, outside
from rexec.results.hdf5.values import Attributes, metadata_of, value_of
from rexec.results.reading.foreign import dataset_paths, external_links, reading
from rexec.wire import pyon


class StoredDataset:
    """One dataset of a result file; its data are read when they are asked for.

    Attributes:
        key: Its name, as it was given to `set_dataset`.
        path: Its path in the file.

    """

    def __init__(self, file: h5py.File, path: str, key: str, *, external: bool = False) -> None:
        self._file = file
        self._external = external
        self._node: h5py.Dataset | None = None
        self._attributes: Attributes | None = None
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] | None = None
        self.path: Final = path
        self.key: Final = key

    @property
    def node(self) -> h5py.Dataset:
        """The HDF5 dataset.

        Raises:
            ResultsError: It cannot be opened, or its data are in another file.

        """
        if self._node is None:
            with self._reading():
                node = h5py.Dataset(
                    h5d.open(self._file.id, self.path.encode("utf-8", "surrogateescape")), readonly=True
                )
                elsewhere = None if self._external else outside(node)
            if elsewhere is not None:
                raise ResultsError(
                    f"dataset {self.key!r} of {self._file.filename} has its data in another file, {elsewhere}; "
                    "that is read only where it is asked for (external=True, --external)"
                )
            with self._reading():
                self._shape = node.shape
            self._node = node
        return self._node

    @property
    def attributes(self) -> Attributes:
        """The attributes of the HDF5 dataset: one look for all who ask."""
        node = self.node
        if self._attributes is None:
            self._attributes = Attributes(node)
        return self._attributes

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file; () without data (a null dataspace)."""
        return (self._shape or ()) if self.has_data() else ()

    @property
    def size(self) -> int:
        """How many elements it declares."""
        return int(self.node.size or 0)

    @property
    def nbytes(self) -> int:
        """How many bytes reading it takes at least."""
        return self.size * self.dtype.itemsize

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Its type in the file."""
        node = self.node
        if self._dtype is None:
            with self._reading():
                self._dtype = node.dtype
        return self._dtype

    @property
    def metadata(self) -> dict[str, Any]:
        """Those given of unit, scale, precision; none where they are not what they should be."""
        try:
            return metadata_of(self.attributes)
        except FOREIGN_ERRORS:
            return {}

    @property
    def display(self) -> Display:
        """How its numbers are shown."""
        return display_of(self.metadata)

    @property
    def unit(self) -> str | None:
        """Its unit, where one was given."""
        return self.metadata.get("unit")

    @property
    def origin(self) -> str:
        """Who set it: "run", or "client" (code on a controller)."""
        with self._reading():
            return str(self.attributes.get("rexec_origin", "run"))

    @property
    def value(self) -> Any:
        """The value as it was given to `set_dataset`.

        Raises:
            ResultsError: It cannot be read.

        """
        with self._reading():
            return value_of(self.node, self.attributes)

    @property
    def mask(self) -> h5py.Dataset | None:
        """Which numbers of a masked array are not there, as bools of its shape; None: all are there."""
        with self._reading():
            path = str(self.attributes.get("rexec_beside", ""))
            mask = member(self._file, f"{path.strip('/')}/mask", h5py.Dataset) if path else None
            if mask is not None and not self._external and outside(mask) is not None:
                return None
        return mask if mask is not None and mask.shape == self.node.shape and mask.dtype == bool else None

    def numbers(self, index: Any) -> "np.ndarray[Any, Any]":
        """Return a part of the data as it stands in the file; what is masked is NaN.

        Raises:
            ResultsError: It cannot be read.

        """
        data, mask = np.asarray(self[index]), self.mask
        if mask is None:
            return data
        with self._reading():
            return np.where(mask[index], np.nan, data)

    def has_data(self) -> bool:
        """Return whether it holds anything: a null dataspace does not."""
        return self.node is not None and self._shape is not None

    def is_numeric(self) -> bool:
        """Return whether it holds numbers as HDF5 knows them."""
        is_number = self.has_data() and self.dtype.kind in "biufc"
        with self._reading():
            return is_number and "rexec_form" not in self.attributes

    def number(self) -> Any:
        """Return its value where that is one number and nothing else, otherwise None.

        Raises:
            ResultsError: It cannot be read.

        """
        if self.shape or not self.is_numeric() or "rexec_class" in self.attributes:
            return None
        value = np.empty((), self.dtype)
        with self._reading():
            self.node.id.read(h5s.ALL, h5s.ALL, value)
        return value[()]

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the data as NumPy has it, without reading the rest.

        Raises:
            ResultsError: It cannot be read.

        """
        with self._reading():
            return self.node[index]

    def __repr__(self) -> str:
        try:
            told = f"{self.dtype} {self.unit or ''}".rstrip()
        except ResultsError:
            told = "cannot be read"
        return f"<StoredDataset {self.key} {self.shape} {told}>"

    def _reading(self) -> Any:
        return reading(self._title)

    def _title(self) -> str:
        return f"dataset {self.key!r} of {self._file.filename}"


def stored_below(file: h5py.File, name: str, *, external: bool) -> dict[str, StoredDataset]:
    """Return the datasets of a group of a file by their names.

    Args:
        file: The file.
        name: Name of the group.
        external: Whether to read data that the file says are in other files.

    Raises:
        ResultsError: What is in it cannot be told.

    """
    group = member(file, name, h5py.Group)
    if group is None:
        return {}
    with reading(f"{name} of {file.filename}"):
        paths = dataset_paths(group)
        if external:
            paths += [path for path in external_links(group) if isinstance(group.get(path), h5py.Dataset)]
    return {
        key: StoredDataset(file, f"{name}/{path}", key, external=external)
        for path in paths
        for key in [_key(group, path)]
    }


def _key(group: h5py.Group, path: str) -> str:
    """Return the name that was given to `set_dataset`; a name that HDF5 does not take ends in " (value)" there."""
    if path.rstrip("'").endswith(" (value)"):
        try:
            key = pyon.decode(group[path].attrs["rexec_key"])
        except FOREIGN_ERRORS:
            return path
        if isinstance(key, str):
            return key
    return path

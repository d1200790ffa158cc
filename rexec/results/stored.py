"""Result files as they are, ours and ARTIQ's: datasets when they are asked for, with units and provenance."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import h5py

from rexec.results.errors import ResultsError, reason
from rexec.results.nexus import declared_plot
from rexec.results.values import metadata_of, pyon_of, value_of
from rexec.wire import pyon


class StoredDataset:
    """One dataset of a result file; its data are read when they are asked for.

    Attributes:
        key: Its name, as it was given to `set_dataset`.

    """

    def __init__(self, file: h5py.File, path: str, key: str) -> None:
        self._file = file
        self._path = path
        self.key: Final = key

    @property
    def node(self) -> h5py.Dataset:
        """The HDF5 dataset."""
        return self._file[self._path]

    @property
    def path(self) -> str:
        """Its path in the file."""
        return self._path

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file."""
        return tuple(self.node.shape)

    @property
    def dtype(self) -> Any:
        """Its type in the file."""
        return self.node.dtype

    @property
    def metadata(self) -> dict[str, Any]:
        """Those given of unit, scale, precision."""
        return metadata_of(self.node)

    @property
    def unit(self) -> str | None:
        """Its unit, where one was given."""
        return self.metadata.get("unit")

    @property
    def origin(self) -> str:
        """Who set it: "run", or "client" (code on a controller)."""
        return str(self.node.attrs.get("rexec_origin", "run"))

    @property
    def value(self) -> Any:
        """The value as it was given to `set_dataset`."""
        return value_of(self.node)

    def is_numeric(self) -> bool:
        """Return whether it holds numbers as HDF5 knows them."""
        return self.node.dtype.kind in "biufc" and "rexec_form" not in self.node.attrs

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the data as NumPy has it, without reading the rest."""
        return self.node[index]

    def __repr__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"<StoredDataset {self.key} {self.shape} {self.dtype}{unit}>"


class ResultFile(Mapping[str, Any]):
    """A result file, open for reading: a mapping of dataset names to values.

    Attributes:
        path: The file.
        datasets: What the run has set.
        archive: What the run has read from the dataset database.

    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError as error:
            raise ResultsError(f"there is no result file {path}") from error
        except OSError as error:
            raise ResultsError(
                f"cannot open {path}: {reason(error)}; it is no HDF5 file, or damaged. Where its journal is still "
                f"beside it, `rexec results recover {path.parent}` makes it anew"
            ) from error
        self.datasets: Final[Mapping[str, StoredDataset]] = _stored(self._file, "datasets")
        self.archive: Final[Mapping[str, StoredDataset]] = _stored(self._file, "archive")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Twice is no error."""
        self._file.close()

    def __getitem__(self, key: str) -> Any:
        """Return the value of a dataset as it was given to `set_dataset`, or raise KeyError."""
        return self.datasets[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)

    @property
    def file(self) -> h5py.File:
        """The HDF5 file."""
        return self._file

    @property
    def rid(self) -> int | None:
        """Number of the run; None in a file of `artiq_run`."""
        return int(self._file["rid"][()]) if "rid" in self._file else None

    @property
    def status(self) -> str:
        """How the run ended: "completed", "failed", "interrupted", "recovered", "running"; "" for ARTIQ's files."""
        return str(self._file["rexec"].attrs["status"]) if "rexec" in self._file else ""

    @property
    def default_plot(self) -> tuple[str, list[str | None]] | None:
        """The dataset that the run wants shown first, and its axes (None: numbered); None where it said nothing."""
        declared = declared_plot(self._file)
        if declared is None:
            return None
        keys = {stored.node: key for key, stored in self.datasets.items()}
        signal, axes = declared
        if signal not in keys:
            return None
        return keys[signal], [None if axis is None else keys.get(axis) for axis in axes]

    @property
    def problems(self) -> list[str]:
        """What could not be kept as it was given, as text."""
        return (
            str(self._file["rexec/problems"].asstr()[()]).splitlines()
            if "rexec/problems" in self._file
            else []
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What is known of the run beside its data; the names are those of `schemas.RunIdentity`."""
        found: dict[str, Any] = {}
        for name in ("rid", "start_time", "run_time", "artiq_version", "expid"):
            if name in self._file:
                found[name] = _plain(self._file[name])
        if "expid" in found:
            found["expid"] = pyon_of(found["expid"])
        for name, node in self._file.get("rexec", {}).items():
            if isinstance(node, h5py.Dataset):
                value = _plain(node)
                found[name] = pyon_of(value) if name in _PYON_FIELDS else value
            elif name == "sources":
                found[name] = {digest: source.asstr()[()] for digest, source in node.items()}
        return found


_PYON_FIELDS: Final = frozenset({"user_arguments", "git", "device_db", "versions", "command", "simulated"})


def _stored(file: h5py.File, name: str) -> dict[str, StoredDataset]:
    found: dict[str, StoredDataset] = {}

    def look(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            key = pyon.decode(node.attrs["rexec_key"]) if "rexec_key" in node.attrs else path
            found[key] = StoredDataset(file, f"{name}/{path}", key)

    if name in file:
        file[name].visititems(look)
    return found


def _plain(node: h5py.Dataset) -> Any:
    value = value_of(node)
    return value.item() if hasattr(value, "item") else value

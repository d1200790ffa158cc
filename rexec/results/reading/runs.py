"""Reads result files: the same for people and programs that go on with pandas and xarray."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import h5py
import numpy as np

from rexec.results.errors import ResultsError
from rexec.results.hdf5.inside import DEEPEST, member
from rexec.results.hdf5.nexus import declared_paths
from rexec.results.reading.foreign import external_links, is_too_deep, open_foreign, reading
from rexec.results.reading.identity import identity_of, lines, scalar
from rexec.results.reading.stored import StoredDataset, stored_below

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = ["Run", "StoredDataset"]


class Run(Mapping[str, Any]):
    """A result file, open for reading: a mapping of dataset names to values. Made by `rexec.results.open`.

    Args:
        path: The file.
        external: Whether to read data that the file says are in other files.

    Attributes:
        path: The file.
        datasets: What the run has set.
        archive: What the run has read from the dataset database.

    Raises:
        ResultsError: There is no such file, or it cannot be opened.

    """

    def __init__(self, path: Path, *, external: bool = False) -> None:
        self.path: Final = path
        self._external: Final = external
        self._file: Final = open_foreign(path)
        try:
            self.datasets: Final[Mapping[str, StoredDataset]] = stored_below(
                self._file, "datasets", external=external
            )
            self.archive: Final[Mapping[str, StoredDataset]] = stored_below(
                self._file, "archive", external=external
            )
        except BaseException:
            self._file.close()
            raise

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

    def __repr__(self) -> str:
        return f"<Run {self.rid} at {self.path}: {self.status or 'of ARTIQ'}, {len(self)} datasets>"

    def _repr_html_(self) -> str:
        from rexec.results.reading.html import run_html

        return run_html(self)

    def __len__(self) -> int:
        return len(self.datasets)

    @property
    def file(self) -> h5py.File:
        """The HDF5 file."""
        return self._file

    @property
    def rid(self) -> int | None:
        """Number of the run; None in a file of `artiq_run`."""
        value = scalar(self._file, "rid")
        return int(value) if isinstance(value, int | np.integer) else None

    @property
    def status(self) -> str:
        """How the run ended: "completed", "failed", "interrupted", "recovered", "running"; "" for ARTIQ's files."""
        ours = member(self._file, "rexec", h5py.Group)
        if ours is None:
            return ""
        with reading(f"status of {self.path}"):
            return str(ours.attrs.get("status", ""))

    @property
    def default_plot(self) -> tuple[str, list[str | None]] | None:
        """The dataset that the run wants shown first, and its axes (None: numbered); None where it said nothing."""
        paths = declared_paths(self._file)
        keys = {f"/{stored.path}": key for key, stored in self.datasets.items()}
        if paths is None or paths[0] not in keys:
            return None
        return keys[paths[0]], [None if path is None else keys.get(path) for path in paths[1]]

    @property
    def is_simulated(self) -> bool:
        """Whether its data come from a simulation: nothing was measured."""
        with reading(f"attributes of {self.path}"):
            return bool(self.identity.get("simulated")) or "simulated" in self._file.attrs

    @property
    def error(self) -> str | None:
        """What the run failed with, as text."""
        value = scalar(self._file, "rexec/error")
        return value if isinstance(value, str) else None

    @property
    def problems(self) -> list[str]:
        """What could not be kept as it was given, and what of the file is not read, as text."""
        found = lines(self._file, "rexec/problems")
        for name in ("datasets", "archive"):
            group = member(self._file, name, h5py.Group)
            if group is None:
                continue
            with reading(f"{name} of {self.path}"):
                if is_too_deep(group):
                    found.append(f"{name}: groups that are nested deeper than {DEEPEST} levels are not read")
                if not self._external:
                    found += [
                        f"{name}/{path} is a link to {target}, which is read only where it is asked for"
                        for path, target in external_links(group).items()
                    ]
        return found

    @property
    def degraded(self) -> list[str]:
        """What of the run is not as it was asked for (persistent datasets that were not kept, say), as text."""
        return lines(self._file, "rexec/degraded")

    @property
    def identity(self) -> dict[str, Any]:
        """What is known of the run beside its data: see `identity_of`."""
        return identity_of(self._file)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the one-dimensional numeric datasets as columns; shorter ones are filled up with NaN.

        Returns:
            A frame whose `attrs` are the `units` of the numbers in the columns by name, and which run it is: `rid`,
            `class_name`, `start_time`, `status`, `source` (the file), whether it is `simulated`, and what of it is
            `degraded` (a list of texts).

        Raises:
            ResultsError: pandas is not installed.

        """
        try:
            import pandas
        except ImportError as error:
            raise ResultsError("pandas is not installed: pip install 'artiq-rexec[xarray]'") from error
        columns = {
            key: pandas.Series(stored[()])
            for key, stored in self.datasets.items()
            if stored.is_numeric() and len(stored.shape) == 1
        }
        frame = pandas.DataFrame(columns)
        frame.attrs = {
            "units": {key: self.datasets[key].display.base_unit or None for key in columns},
            "rid": self.rid,
        }
        identity = self.identity
        frame.attrs |= {name: identity.get(name) for name in ("class_name", "start_time")}
        frame.attrs |= {"status": self.status, "source": str(self.path), "simulated": self.is_simulated}
        frame.attrs["degraded"] = self.degraded
        return frame

    def to_xarray(self) -> "xarray.Dataset":
        """Return the numeric datasets, read lazily; the file may be closed meanwhile.

        Raises:
            ResultsError: xarray is not installed.

        """
        try:
            from rexec.results.reading.xarray_backend import open_run
        except ImportError as error:
            raise ResultsError("xarray is not installed: pip install 'artiq-rexec[xarray]'") from error
        return open_run(self.path)

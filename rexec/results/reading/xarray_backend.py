"""Result files in xarray: `xarray.open_dataset(path, engine="rexec")`, and thousands of them with `open_mfdataset`.

Each numeric dataset is a variable that is read when it is needed, in any process of a Dask cluster that sees the file.
`rid` is a coordinate, so that runs are joined along it:

    xarray.open_mfdataset(paths, engine="rexec", combine="nested", concat_dim="rid", parallel=True)
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import xarray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from rexec.ground.quantities import display_of
from rexec.results.errors import ResultsError
from rexec.results.reading.foreign import open_foreign
from rexec.results.reading.runs import Run
from rexec.results.reading.stored import StoredDataset
from rexec.wire import pyon


class _LazyArray(BackendArray):
    """The data of one HDF5 dataset; it holds the file's name, not the file, so that it can be sent to a worker."""

    def __init__(self, path: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._path: Final = path
        self._name: Final = name
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        with open_foreign(Path(self._path)) as file:
            return file[self._name][key]  # xarray itself turns the order of a slice with a negative step


def open_run(
    path: str | os.PathLike[str], drop_variables: Iterable[str] | str | None = None
) -> xarray.Dataset:
    """Return the numeric datasets of a result file as variables, read lazily.

    Args:
        path: The result file.
        drop_variables: Names of datasets to leave out.

    Returns:
        A dataset whose dimensions are NAME_0, NAME_1, …, or for a declared plot the names of its axes; the attribute
        `units` is the unit of the numbers (base units, "s" where the run shows us); attributes say which run it is.

    """
    left_out = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
    with Run(Path(path)) as run:
        shared = _declared_dimensions(run)
        variables = {
            key: _variable(str(path), stored, shared.get(key, ()))
            for key, stored in run.datasets.items()
            if key not in left_out and _is_variable(stored)
        }
        coordinates = {
            key: variables.pop(key) for key in shared if shared[key] == (key,) and key in variables
        }
        attributes = _provenance(run) | {"source": str(path), "status": run.status}
        if run.rid is not None:
            coordinates["rid"] = xarray.Variable((), run.rid)
    dataset = xarray.Dataset(variables, coordinates, attributes)
    dataset.set_close(_nothing_to_close)
    return dataset


def _provenance(run: Run) -> dict[str, Any]:
    """Return which run it is, as attributes that netCDF takes, too; dicts are PYON (JSON where it is that simple)."""
    identity = run.identity
    names = ("class_name", "file", "start_time", "run_time", "artiq_version", "device_db_sha256", "host")
    found = {name: identity[name] for name in names if identity.get(name) is not None}
    arguments = (identity.get("expid") or {}).get("arguments")
    git = identity.get("git") or {}
    if arguments:
        found["arguments"] = pyon.encode(arguments)
    if identity.get("simulated"):
        found["simulated"] = ", ".join(identity["simulated"])
    if run.degraded:
        found["degraded"] = "\n".join(run.degraded)
    if git.get("commit"):
        found["git_commit"] = git["commit"] + (" (dirty)" if git.get("dirty") else "")
    return found


def _nothing_to_close() -> None:
    """Stand for closing: no file is held open between two reads."""


def _variable(path: str, stored: StoredDataset, axes: Sequence[str | None]) -> xarray.Variable:
    shape, metadata = stored.shape, stored.metadata
    dimensions = [f"{stored.key}_{number}" for number in range(len(shape))]
    for number, axis in enumerate(axes):
        if axis is not None:
            dimensions[number] = axis
    data = indexing.LazilyIndexedArray(_LazyArray(path, stored.path, shape, stored.dtype))
    attributes = {name: value for name, value in metadata.items() if isinstance(value, str | int | float)}
    units = display_of(metadata).base_unit
    return xarray.Variable(dimensions, data, attributes | ({"units": units} if units else {}))


def _is_variable(stored: StoredDataset) -> bool:
    try:
        return stored.is_numeric()
    except ResultsError:  # it cannot be read, or is in another file
        return False


def _declared_dimensions(run: Run) -> dict[str, tuple[str | None, ...]]:
    """Return the names of axes by dataset, for the signal of a declared plot and its axes, where they fit."""
    declared = run.default_plot
    if declared is None:
        return {}
    signal, axes = declared
    shape = run.datasets[signal].shape
    fitting = tuple(
        axis
        if axis is not None and axis not in axes[:number] and run.datasets[axis].shape == (length,)
        else None
        for number, (axis, length) in enumerate(zip(axes, shape, strict=False))
    )
    return {signal: fitting} | {axis: (axis,) for axis in fitting if axis is not None}


class RexecBackend(BackendEntrypoint):
    """Opens result files for `xarray.open_dataset(path, engine="rexec")`."""

    description: ClassVar[str] = "Result files of ARTIQ and artiq-rexec"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables")

    def open_dataset(
        self, filename_or_obj: Any, *, drop_variables: str | Iterable[str] | None = None
    ) -> xarray.Dataset:
        """Return a result file as a dataset."""
        return open_run(filename_or_obj, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return whether a file is a result file, so that `engine` need not be given.

        It runs for every file that anybody opens with xarray: it looks at two names, and opens nothing but regular
        files.
        """
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        try:
            with open_foreign(Path(filename_or_obj)) as file:
                return all(file.id.links.exists(name) for name in (b"rid", b"datasets"))
        except ResultsError:
            return False

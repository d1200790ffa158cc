"""Several runs as one dataset of xarray, along the dimension `run`."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray

from rexec.catalogue.found_run import FoundRun
from rexec.catalogue.tables import run_table
from rexec.results.errors import ResultsError
from rexec.results.reading.xarray_backend import open_run

RUN: Final = "run"
_FACTS: Final = ("class_name", "status", "time", "comment", "path")


def opened(runs: Sequence[FoundRun], names: Sequence[str]) -> list[xarray.Dataset]:
    """Return each run as a dataset of its own, read lazily.

    Args:
        runs: The runs.
        names: Datasets that are wanted; none: all of numbers.

    Raises:
        ResultsError: A file cannot be read, or no run has one of the names.

    """
    found = [open_run(run.path) for run in runs]
    there = {str(name) for each in found for name in each.variables}
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there - {"rid"}))
            raise ResultsError(f"no run has a dataset of numbers {name!r}; they have {known or 'none'}")
    return [each[[name for name in names if name in each.variables]] if names else each for each in found]


def joined(runs: Sequence[FoundRun], names: Sequence[str]) -> xarray.Dataset:
    """Return runs along a dimension `run`; shorter arrays are filled with NaN at their ends.

    An axis that is the same in all runs stays a coordinate of its dimension; one that differs has a value for each
    run and point.

    Raises:
        ResultsError: A file cannot be read, or datasets of one name differ in their dimensions or units.

    """
    datasets = [each.drop_vars("rid", errors="ignore") for each in opened(runs, names)]
    if not datasets:
        raise ResultsError("there are no runs to join")
    _check(runs, datasets)
    datasets = _with_own_axes(datasets)
    sizes: dict[Any, int] = {}
    for each in datasets:
        for dimension, size in each.sizes.items():
            sizes[dimension] = max(size, sizes.get(dimension, 0))
    everything = {name: variable for each in datasets for name, variable in each.variables.items()}
    shared = _shared_axes(datasets)
    filled = [
        _filled(each.drop_vars(shared, errors="ignore"), everything, sizes, shared) for each in datasets
    ]
    options: dict[str, Any] = {
        "combine_attrs": "drop_conflicts",
        "coords": "all",
        "data_vars": "all",
        "compat": "equals",
    }
    result = xarray.concat(filled, dim=RUN, join="override", **options)
    return result.assign_coords({name: everything[name] for name in shared} | _run_coordinates(runs, result))


def _check(runs: Sequence[FoundRun], datasets: list[xarray.Dataset]) -> None:
    """Refuse datasets of one name that cannot be joined."""
    remedy = "name the datasets that are to be joined, or take them as a list"
    first: dict[Any, tuple[str, xarray.Variable]] = {}
    for run, each in zip(runs, datasets, strict=True):
        for name, variable in each.variables.items():
            other, known = first.setdefault(name, (run.name, variable))
            for what, one, two in (
                ("dimensions", known.ndim, variable.ndim),
                ("units", known.attrs.get("units"), variable.attrs.get("units")),
            ):
                if one != two:
                    raise ResultsError(
                        f"dataset {name!r} differs in its {what}: {one} in run {other}, {two} in run {run.name}; "
                        + remedy
                    )


def _with_own_axes(datasets: list[xarray.Dataset]) -> list[xarray.Dataset]:
    """Rename the dimension of each axis that differs between runs, and let all runs name dimensions alike."""
    shared = _shared_axes(datasets)
    axes = {name for each in datasets for name in each.indexes}
    found = []
    for each in datasets:
        own = {name: f"{name}_point" for name in each.indexes if name in axes - shared}
        found.append(each.reset_index(list(own)).rename_dims(own) if own else each)
    return found


def _shared_axes(datasets: list[xarray.Dataset]) -> set[Any]:
    """Return the axes that all runs have, with the same values."""
    names = set.intersection(*(set(each.indexes) for each in datasets))
    return {
        name
        for name in names
        if all(np.array_equal(datasets[0].indexes[name], each.indexes[name]) for each in datasets[1:])
    }


def _filled(
    dataset: xarray.Dataset, everything: dict[Any, xarray.Variable], sizes: dict[Any, int], shared: set[Any]
) -> xarray.Dataset:
    """Return a run with all arrays as long as the longest, and those that it lacks."""
    filled = {}
    for name, model in everything.items():
        if name in shared:
            continue
        if name not in dataset.variables:
            shape = [sizes[dimension] for dimension in model.dims]
            filled[name] = xarray.Variable(model.dims, np.full(shape, np.nan), model.attrs)
            continue
        variable = dataset.variables[name].chunk()
        missing = {
            dimension: (0, sizes[dimension] - size)
            for dimension, size in variable.sizes.items()
            if size < sizes[dimension]
        }
        if missing and variable.dtype.kind == "b":
            variable = variable.astype(float)
        if missing and not variable.size:  # dask pads no empty array
            shape = [sizes[dimension] for dimension in variable.dims]
            filled[name] = xarray.Variable(variable.dims, np.full(shape, np.nan), variable.attrs)
        else:
            filled[name] = variable.pad(missing) if missing else variable
    coordinates = [name for name in dataset.coords if name in filled]
    return xarray.Dataset(filled, attrs=dataset.attrs).set_coords(coordinates)


def _run_coordinates(runs: Sequence[FoundRun], result: xarray.Dataset) -> dict[str, Any]:
    """Return number and facts of each run, and its arguments, as coordinates."""
    table = run_table(runs)
    rids = [run.rid for run in runs]
    is_numbered = None not in rids and len(set(rids)) == len(rids)
    found: dict[str, Any] = {RUN: rids if is_numbered else list(range(len(runs)))}
    arguments = {name for run in runs for name in run.facts.arguments}
    for name in table.columns:
        if name not in _FACTS and name.removeprefix("argument.") not in arguments:
            continue
        key = f"argument.{name}" if name in result.variables else name
        if key in result.variables or name.startswith("dataset."):
            continue
        column = table[name]
        values = column.to_numpy() if column.dtype.kind in "biufM" else column.astype(object).to_numpy()
        units = table.attrs["units"].get(name)
        found[key] = (RUN, values, {"units": units} if units else {})
    return found

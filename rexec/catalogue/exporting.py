"""Runs as files of other programs: CSV, Parquet, JSON, NetCDF, Zarr. Units go with the numbers, which stay as stored.

CSV, Parquet and JSON have a row a run (`run_table`), and with names of datasets a row a point. NetCDF and Zarr have
the arrays, joined along `run`.
"""

import contextlib
import json
import math
import numbers
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas
import xarray

from devicedb.whole_file import put_in_place, sync_file, write_whole
from devicedb.windows_names import REFUSED, is_refused_here, path_is_refused_here
from rexec.catalogue.facts import storable
from rexec.catalogue.found_run import FoundRun
from rexec.catalogue.joining import RUN, joined, opened
from rexec.catalogue.tables import run_table
from rexec.results.errors import ResultsError, hint, reason

MISSING: Final = "pip install 'artiq-rexec[export]'"
_ROWS_AT_A_TIME: Final = 10_000


def export(
    runs: Sequence[FoundRun], target: Path, names: Sequence[str] = (), *, overwrite: bool = False
) -> str:
    """Write runs into a file (a folder for Zarr), whole or not at all; return what was written, in a few words.

    Args:
        runs: The runs.
        target: The file; its suffix decides: .csv, .parquet, .json, .nc or .zarr.
        names: Datasets that are wanted. CSV, Parquet and JSON without names: a row a run.
        overwrite: Whether what is in its place may be replaced.

    Raises:
        ResultsError: A package is not installed, something is in its place, the runs cannot be joined, or it cannot
            be written.

    """
    write = FORMATS.get(target.suffix)
    if write is None:
        raise ResultsError(f"cannot export to {target}: its name must end in {', '.join(FORMATS)}")
    if not runs:
        raise ResultsError("there are no runs to export")
    if path_is_refused_here(target):
        raise ResultsError(f"cannot export to {target}: {REFUSED}; name another")
    if os.path.lexists(target):
        _check_replaceable(target, overwrite=overwrite)
    try:
        place = Path(os.path.realpath(target)) if target.is_symlink() else target  # a link stays
        return write(runs, place, names)
    except ImportError as error:
        package = error.name or "a package"
        raise ResultsError(f"{target.suffix} needs {package}, which is not installed: {MISSING}") from error
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {reason(error)}{hint(error)}") from error


def _check_replaceable(target: Path, *, overwrite: bool) -> None:
    """Raise ResultsError unless what is in the place of `target` may be replaced, and is of its kind."""
    if not overwrite:
        raise ResultsError(f"{target} exists already; name another file, or give --overwrite")
    wanted, is_wanted = ("folder", os.path.isdir) if target.suffix == ".zarr" else ("file", os.path.isfile)
    if target.exists() and not is_wanted(target):
        raise ResultsError(
            f"{target} exists already, and is no {wanted}, as {target.suffix} is: --overwrite does not replace it; "
            "remove it, or name another"
        )


def points_table(runs: Sequence[FoundRun], names: Sequence[str]) -> pandas.DataFrame:
    """Return a row for each point of each run: `rid`, the place in each dimension, the axes, the datasets.

    Raises:
        ResultsError: A file cannot be read, or the datasets have no common dimensions.

    """
    parts = []
    units: dict[str, set[str]] = {}
    for run, dataset in zip(runs, opened(runs, names), strict=True):
        shapes = {name: dataset[name].dims for name in names if name in dataset.variables}
        longest = max(shapes.values(), key=len, default=())
        if any(set(shape) - set(longest) for shape in shapes.values()):
            said = ", ".join(
                f"{name} has {' x '.join(map(str, shape)) or 'one value'}" for name, shape in shapes.items()
            )
            raise ResultsError(
                f"the datasets of run {run.name} have no common points: {said}; export them one by one"
            )
        numbered = dataset.drop_vars("rid", errors="ignore").reset_coords()
        for name, variable in numbered.variables.items():
            units.setdefault(str(name), set()).add(str(variable.attrs.get("units", "")))
        table = _points_of(numbered) if longest else _one_point(numbered)
        table.insert(0, "rid", run.rid)
        table.insert(1, "path", storable(str(run.path)))
        parts.append(table)
    frame = pandas.concat(parts, ignore_index=True)
    _refuse_mixed(units)
    frame.attrs["units"] = {name: next(iter(each)) for name, each in units.items() if next(iter(each))}
    return frame


def _points_of(dataset: xarray.Dataset) -> pandas.DataFrame:
    places = {name: np.arange(size) for name, size in dataset.sizes.items() if name not in dataset.variables}
    return dataset.assign_coords(places).to_dataframe().reset_index()


def _one_point(dataset: xarray.Dataset) -> pandas.DataFrame:
    return pandas.DataFrame({str(name): [value.values[()]] for name, value in dataset.variables.items()})


def _refuse_mixed(units: dict[str, set[str]]) -> None:
    for name, found in units.items():
        if len(found) > 1:
            listed = ", ".join(sorted(each or "no unit" for each in found))
            raise ResultsError(
                f"dataset {name!r} has several units in these runs: {listed}; export them one by one"
            )


def _table(runs: Sequence[FoundRun], names: Sequence[str]) -> pandas.DataFrame:
    return points_table(runs, names) if names else run_table(runs)


def _csv(runs: Sequence[FoundRun], target: Path, names: Sequence[str]) -> str:
    """Write a table whose headings have the units: "time (s)"."""
    table = _table(runs, names)
    units = table.attrs["units"]
    headed = table.rename(
        columns={name: f"{name} ({units[name]})" for name in table.columns if name in units}
    )
    write_whole(target, headed.to_csv(index=False).encode("utf-8", "backslashreplace"))
    return f"{len(table)} rows, {len(table.columns)} columns"


def _json(runs: Sequence[FoundRun], target: Path, names: Sequence[str]) -> str:
    """Write a table with a row a line."""
    table = _table(runs, names)
    rows: list[str] = []
    encode = json.JSONEncoder(allow_nan=False).encode
    for first in range(0, len(table), _ROWS_AT_A_TIME):
        part = table.iloc[first : first + _ROWS_AT_A_TIME]
        cells = zip(*(_json_cells(part.iloc[:, number]) for number in range(len(table.columns))), strict=True)
        rows += (encode(dict(zip(table.columns, row, strict=True))) for row in cells)
    lines = ",\n".join(rows)
    text = f'{{"units": {encode(table.attrs["units"])}, "rows": [\n{lines}\n]}}\n'
    write_whole(target, text.encode())
    return f"{len(table)} rows, {len(table.columns)} columns"


def _json_cells(column: pandas.Series) -> list[Any]:
    values = column.tolist()
    is_plain = column.dtype.kind in "iub" or (column.dtype == np.float64 and np.isfinite(column).all())
    return values if is_plain and isinstance(column.dtype, np.dtype) else list(map(_json_cell, values))


def _json_cell(value: Any) -> Any:
    """Return a cell for JSON, each digit of it; an infinite number as text, which JSON has no number for."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, complex | np.complexfloating):
        return {"real": _json_cell(value.real), "imag": _json_cell(value.imag)}
    if pandas.isna(value):
        return None
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, datetime | pandas.Timedelta) else str(value)


def _parquet(runs: Sequence[FoundRun], target: Path, names: Sequence[str]) -> str:
    """Write a table; the unit of a column is in the metadata of its field."""
    import pyarrow
    from pyarrow import parquet

    table = _table(runs, names)
    units = table.attrs["units"]
    arrow = pyarrow.Table.from_pandas(_one_type_a_column(table), preserve_index=False)
    fields = [
        field.with_metadata({"units": units[field.name]}) if field.name in units else field
        for field in arrow.schema
    ]
    schema = pyarrow.schema(fields, metadata=arrow.schema.metadata)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(arrow.cast(schema), sink)
    write_whole(target, sink.getvalue().to_pybytes())
    return f"{len(table)} rows, {len(table.columns)} columns"


def _one_type_a_column(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return a table in which a column of texts and numbers has texts only."""
    mixed = {}
    for name in table.columns:
        there = table[name].dropna()
        if there.dtype == object and len(set(map(type, there))) > 1:
            mixed[name] = table[name].map(str, na_action="ignore")
    return table.assign(**mixed)


def _netcdf(runs: Sequence[FoundRun], target: Path, names: Sequence[str]) -> str:
    import netCDF4  # noqa: F401 - the engine of xarray that is used

    dataset = _storable(joined(runs, names))
    with _folder_beside(target) as folder:
        temporary = folder / "export.nc"
        with _refusing(target):
            dataset.to_netcdf(temporary, engine="netcdf4")
        sync_file(temporary)
        put_in_place(temporary, target)
    return _described(dataset)


def _zarr(runs: Sequence[FoundRun], target: Path, names: Sequence[str]) -> str:
    dataset = _storable(joined(runs, names))
    for name in dataset.variables:  # each is a folder
        if is_refused_here(str(name)) or (os.name == "nt" and "\\" in str(name)):
            raise ResultsError(
                f"cannot export to {target}: dataset {str(name)!r}: {REFUSED}; name the wanted ones (-d NAME)"
            )
    with _folder_beside(target) as folder:
        temporary = folder / "export.zarr"
        with _refusing(target):
            dataset.to_zarr(temporary, zarr_format=2)
        _put_folder_in_place(temporary, target, folder / "previous.zarr")
    return _described(dataset)


@contextlib.contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Make a folder for what becomes `target`, and remove it with what is left in it.

    On Windows, what a program has open stays: the export is in its place by then.
    """
    # Not by tempfile: on Windows, its folders and what is made in them are for their owner alone.
    folder = target.absolute().parent / f".{target.name}.{os.urandom(4).hex()}.tmp"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=os.name == "nt")


def _put_folder_in_place(new: Path, target: Path, aside: Path) -> None:
    """Rename a finished folder to `target`; one that is there stays whole until then, and is left at `aside`.

    Args:
        new: The folder.
        target: Its final name.
        aside: Where what is there goes to.

    Raises:
        OSError: `target` cannot be replaced, and is as it was: on Windows, a program has a file of it open.

    """
    if not target.is_dir():
        put_in_place(new, target)
        return
    try:
        put_in_place(target, aside, sync_folder=False)
        put_in_place(new, target)
    except BaseException:  # Ctrl-C, too, wherever it hits
        if aside.exists() and not target.exists():
            put_in_place(aside, target)
        raise


@contextlib.contextmanager
def _refusing(target: Path) -> Iterator[None]:
    """Let what a format cannot hold (a dataset without a name) be one line."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError) as error:
        raise ResultsError(
            f"cannot export to {target}: {' '.join(str(error).split())}; name the datasets that are wanted (-d NAME)"
        ) from error


def _storable(dataset: xarray.Dataset) -> xarray.Dataset:
    """Return a dataset without what these formats lack: complex numbers, mixed arguments, "/" in a name."""
    found: dict[Any, Any] = {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "c":
            found[f"{name}_real"] = variable.real
            found[f"{name}_imag"] = variable.imag
        elif variable.dtype == object:
            found[name] = variable.copy(
                data=np.array(["" if each is None else str(each) for each in variable.values])
            )
        else:
            found[name] = variable
    changed = xarray.Dataset(found, attrs={key: str(value) for key, value in dataset.attrs.items()})
    coordinates = [name for name in dataset.coords if name in changed.variables]
    renamed = {name: str(name).replace("/", ".") for name in changed.variables if "/" in str(name)}
    dimensions = {
        name: str(name).replace("/", ".")
        for name in changed.sizes
        if "/" in str(name) and name not in renamed
    }
    return changed.set_coords(coordinates).rename(renamed | dimensions)


def _described(dataset: xarray.Dataset) -> str:
    return f"{len(dataset.data_vars)} datasets of {dataset.sizes[RUN]} runs"


FORMATS: Final[dict[str, Callable[[Sequence[FoundRun], Path, Sequence[str]], str]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".nc": _netcdf,
    ".zarr": _zarr,
}
"""What writes a format, by the suffix of the file."""

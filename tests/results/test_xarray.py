"""A run as a dataset of xarray and as a frame of pandas: dimensions, units, and which run it is."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from schemas import GitState, RunIdentity

xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
DATA: dict[str, Any] = {
    "y": (np.arange(6.0).reshape(3, 2), {"unit": "mV", "precision": 3, "more": [1]}),
    "t": ([0.0, 1.0, 2.0], {"unit": "s"}),
    "x": ([5, 6], {}),
    "n": (7, {}),
    "text": ("a", {}),
}


def written(folder: Path, plot: Any = None, data: dict[str, Any] | None = None, **fields: Any) -> Path:
    path = folder / "r.h5"
    identity = RunIdentity(**{"rid": 8, "class_name": "Scan", "start_time": 2.0, **fields})
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        for key, (value, metadata) in (DATA if data is None else data).items():
            writer.set(key, value, metadata)
        if plot:
            writer.declare_plot(*plot)
        if fields:
            writer.add_degraded("no clock")
            writer.add_degraded("late")
    return path


@pytest.mark.parametrize(
    ("plot", "dims", "coordinates"),
    [
        (None, ("y_0", "y_1"), set()),
        (("y", ["t"]), ("t", "y_1"), {"t"}),
        (("y", ["t", "x"]), ("t", "x"), {"t", "x"}),
        (("y", ["nothing", "x"]), ("y_0", "x"), {"x"}),
        (("y", ["x", "x"]), ("y_0", "y_1"), set()),
        (("y", ["t", "t"]), ("t", "y_1"), {"t"}),
        (("y", ["y"]), ("y_0", "y_1"), set()),
        (("t", ["t"]), ("y_0", "y_1"), {"t"}),
    ],
)
def test_declared_axes_that_fit_are_dimensions(
    tmp_path: Path, plot: Any, dims: tuple[str, ...], coordinates: set[str]
) -> None:
    with results.open(written(tmp_path, plot)) as run:
        found = run.to_xarray()
    assert found["y"].dims == dims
    assert set(found.coords) == {*coordinates, "rid"}
    assert set(found.variables) == {"y", "t", "x", "n", "rid"}
    assert found["y"].values.tolist() == DATA["y"][0].tolist()
    assert (found["rid"].item(), found["n"].item()) == (8, 7)


def test_what_a_run_says_of_itself_are_attributes(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "file": "scan.py",
        "run_time": 3.0,
        "artiq_version": "9",
        "expid": {"arguments": {"n": (1, 2)}},
        "git": GitState(root="/", commit="abc", dirty=True),
        "simulated": ["camera", "laser"],
    }
    path = written(tmp_path, **fields)
    with results.open(path) as run:
        found = run.to_xarray()
        frame = run.to_pandas()
    assert found.attrs == {
        **{name: fields[name] for name in ("file", "run_time", "artiq_version")},
        "class_name": "Scan",
        "start_time": 2.0,
        "arguments": '{"n":{"__jsonclass__":["tuple",[[1,2]]]}}',
        "simulated": "camera, laser",
        "degraded": "no clock\nlate",
        "git_commit": "abc (dirty)",
        "source": str(path),
        "status": "completed",
    }
    assert found["y"].attrs == {"unit": "mV", "precision": 3, "units": "V"}
    assert found["x"].attrs == {}
    assert frame.attrs == {
        "units": {"t": "s", "x": None},
        "rid": 8,
        "class_name": "Scan",
        "start_time": 2.0,
        "status": "completed",
        "source": str(path),
        "simulated": True,
        "degraded": ["no clock", "late"],
    }
    assert frame["t"].tolist() == [0.0, 1.0, 2.0]
    assert frame["x"].tolist()[:2] == [5, 6]
    assert list(frame.columns) == ["t", "x"]


def test_of_a_run_that_says_little_little_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, data={})
    with results.open(path) as run:
        found = run.to_xarray()
    assert found.attrs == {
        "class_name": "Scan",
        "start_time": 2.0,
        "artiq_version": found.attrs.get("artiq_version", ""),
        "source": str(path),
        "status": "completed",
    }


@pytest.mark.parametrize("names", [(), ("rid",), ("datasets",), ("rid", "datasets")])
def test_only_result_files_are_guessed(tmp_path: Path, names: tuple[str, ...]) -> None:
    from rexec.results.reading.xarray_backend import RexecBackend

    backend = RexecBackend()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in names:
            file[name] = 1
    for path in (tmp_path / "x.h5", str(tmp_path / "x.h5")):
        assert backend.guess_can_open(path) is (len(names) == 2)
    (tmp_path / "text").write_text("text")
    for other in (tmp_path, tmp_path / "none", tmp_path / "text", 5, b"x", None):
        assert backend.guess_can_open(other) is False


@pytest.mark.parametrize(
    "index",
    [
        (slice(None, None, -1),),
        (slice(None), slice(None, None, -1)),
        (1, slice(None, None, -2)),
        (slice(2, 0, -1), [1, 0]),
        (slice(None, None, 2), 1),
        ([2, 0, 0],),
        ([0, 0, 2],),
        ([-1, 0],),
        ([1, 2], [0, 1]),
        ([True, False, True],),
        (slice(5, 1),),
        (-1, -1),
    ],
)
def test_a_part_of_a_variable_is_what_xarray_makes_of_the_array(tmp_path: Path, index: Any) -> None:
    path = written(tmp_path)
    with h5py.File(path, "r+") as file:
        file["datasets"].create_dataset("elsewhere", (8,), "u1", external=[("other.bin", 0, 8)])
    with xarray.open_dataset(path, engine="rexec") as found:
        assert "elsewhere" not in found.variables
        expected = xarray.DataArray(DATA["y"][0], dims=("y_0", "y_1"))[index]
        assert found["y"][index].shape == expected.shape
        assert found["y"][index].values.tolist() == expected.values.tolist()


@pytest.mark.parametrize("left_out", ["y", ["y"], ("y", "t")])
def test_variables_may_be_left_out(tmp_path: Path, left_out: Any) -> None:
    with xarray.open_dataset(
        written(tmp_path, ("y", ["t"])), engine="rexec", drop_variables=left_out
    ) as found:
        assert set(found.variables) == {"y", "t", "x", "n", "rid"} - set(left_out)

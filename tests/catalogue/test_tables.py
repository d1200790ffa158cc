"""Runs that were found, in pandas and xarray."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.catalogue import find
from rexec.catalogue.notes import comment, tag
from rexec.datasets import Dataset
from rexec.results import ResultsError, ResultsWriter
from schemas import RunIdentity
from tests.catalogue.laboratories import BEGIN, made, made_by_artiq

pandas = pytest.importorskip("pandas", reason="needs the extra xarray")
xarray = pytest.importorskip("xarray", reason="needs the extra xarray")


def scanned(
    results: Path,
    rid: int,
    points: int,
    *,
    axis: Any = None,
    unit: str = "ms",
    image: bool = False,
    **arguments: Any,
) -> Path:
    """Write a run with a declared plot: a signal against time, or an image against two axes."""
    expid = {"class_name": "Scan", "arguments": arguments}
    identity = RunIdentity(rid, "Scan", BEGIN + rid, expid=expid)
    path = results / f"{rid:09}-Scan.h5"
    with ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("t", np.arange(points) * 1e-3 if axis is None else axis, {"unit": unit})
        if image:
            writer.set("x", np.arange(3.0), {})
            writer.set("signal", np.full((points, 3), float(rid)), {})
            writer.declare_plot("signal", ["t", "x"])
        else:
            writer.set("signal", np.arange(points) + rid, {})
            writer.declare_plot("signal", ["t"])
        writer.set("good", np.array([True] * points), {})
    return path


def test_a_table_has_a_row_a_run(results: Path) -> None:
    wait = Dataset(5e-3, {"unit": "ms"})
    path = made(results, 1, values={"gain": 2, "phase": Dataset(0.7, {"unit": "rad"}), "wait": wait})
    made(results, 2, values={"gain": 3, "trace": np.arange(3)}, arguments={"phase": 0.5, "mode": "fast"})
    made_by_artiq(results / "x.h5", None)
    comment(path, "good")
    tag(path, ["a", "b"])
    table = find("kind=run").to_pandas()
    assert list(table["rid"]) == [2, 1]
    assert list(table["phase"]) == [0.5, 0.1]
    assert list(table["gain"]) == [3, 2]
    assert table["dataset.phase"][1] == 0.7
    assert np.isnan(table["dataset.phase"][0])
    assert list(table["comment"]) == ["", "good"]
    assert list(table["tags"]) == ["", "a b"]
    assert table["time"][1].timestamp() == pandas.Timestamp.fromtimestamp(BEGIN + 3600).timestamp()
    assert table.attrs["units"] == {"dataset.phase": "rad", "wait": "s"}
    assert table["wait"][1] == 5e-3
    assert find().to_pandas()["rid"].isna().sum() == 1
    assert len(find("rid=99").to_pandas()) == 0


def test_runs_of_one_axis_are_joined_along_run(results: Path) -> None:
    for rid in range(3):
        scanned(results, rid, 4, phase=rid * 0.1, mode="fast")
    runs = find().to_xarray()
    assert runs["signal"].dims == ("run", "t")
    assert runs["t"].dims == ("t",)
    assert runs["t"].attrs["units"] == "s"
    assert list(runs["run"]) == [2, 1, 0]
    assert runs["signal"].sel(run=1).values.tolist() == [1, 2, 3, 4]
    assert runs["signal"].dtype.kind == "i"
    assert runs["phase"].dims == ("run",)
    assert runs["phase"].sel(run=2).item() == pytest.approx(0.2)
    assert list(runs["mode"].values) == ["fast"] * 3


def test_unequal_lengths_are_padded_or_a_list(results: Path) -> None:
    scanned(results, 1, 3)
    scanned(results, 2, 5)
    runs = find().to_xarray("signal", "good")
    assert runs["signal"].dims == ("run", "t_point")
    assert runs["t"].dims == ("run", "t_point")
    assert runs["signal"].sel(run=1).values.tolist()[:3] == [1.0, 2.0, 3.0]
    assert np.isnan(runs["signal"].sel(run=1).values[3:]).all()
    assert np.isnan(runs["t"].sel(run=1).values[3:]).all()
    assert np.nansum(runs["good"].values) == 8
    listed = find().to_xarray("signal", unequal="list")
    assert [each.sizes["t"] for each in listed] == [5, 3]


def test_axes_that_differ_have_a_value_for_each_run(results: Path) -> None:
    scanned(results, 1, 3)
    scanned(results, 2, 3, axis=np.array([7.0, 8.0, 9.0]))
    runs = find().to_xarray()
    assert runs["t"].sel(run=2).values.tolist() == [7.0, 8.0, 9.0]
    assert runs["signal"].sel(run=2).values.tolist() == [2, 3, 4]


def test_two_dimensions_have_their_axes(results: Path) -> None:
    scanned(results, 1, 4, image=True)
    scanned(results, 2, 4, image=True)
    runs = find().to_xarray()
    assert runs["signal"].dims == ("run", "t", "x")
    assert runs["signal"].sel(run=2, x=1.0).values.tolist() == [2.0] * 4


def test_what_some_runs_lack_is_missing(results: Path) -> None:
    made(results, 1, values={"a": np.arange(2.0), "k": 1})
    made(results, 2, values={"b": np.arange(3.0), "k": 2})
    runs = find().to_xarray()
    assert np.isnan(runs["a"].sel(run=2).values).all()
    assert runs["b"].sel(run=2).values.tolist() == [0, 1, 2]
    assert runs["k"].sel(run=1).values == 1


def test_what_cannot_be_joined_says_so(results: Path) -> None:
    scanned(results, 1, 3, unit="ms")
    scanned(results, 2, 3, unit="mV")
    with pytest.raises(ResultsError, match="dataset 't' differs in its units: V in run 2, s in run 1"):
        find().to_xarray()
    assert len(find().to_xarray(unequal="list")) == 2
    with pytest.raises(ResultsError, match="no run has a dataset of numbers 'y'; they have good, signal, t"):
        find().to_xarray("y")
    with pytest.raises(ResultsError, match="there are no runs to join"):
        find("rid=99").to_xarray()


def test_a_dataset_that_is_an_array_in_one_run_only(results: Path) -> None:
    made(results, 1, values={"a": 1.0})
    made(results, 2, values={"a": np.arange(3.0)})
    with pytest.raises(ResultsError, match="differs in its dimensions: 1 in run 2, 0 in run 1"):
        find().to_xarray()


def test_runs_of_one_number_are_counted(results: Path) -> None:
    made(results, 1)
    made_by_artiq(results / "x.h5", None, signal=np.arange(4.0))
    assert list(find().to_xarray()["run"]) == [0, 1]


def test_what_differs_between_many(results: Path) -> None:
    for rid in range(3):
        made(results, rid, arguments={"phase": [0, 0, 5][rid], "same": 1}, person="bob" if rid else "alice")
    found = {(each.section, each.name): each.values for each in find().compare()}
    assert found == {("run", "person"): ("bob", "bob", "alice"), ("argument", "phase"): ("5", "0", "0")}
    assert find(limit=1).compare() == []


def test_runs_are_a_sequence(results: Path) -> None:
    for rid in range(3):
        made(results, rid)
    runs = find()
    assert [run.rid for run in runs[1:]] == [1, 0]
    assert runs[-1].rid == 0
    assert repr(runs) == "<FoundRuns 3: 2, 1, 0>"
    assert repr(runs[0]).startswith("<FoundRun 2 of Ramsey: completed, ")
    with runs[0].open() as run:
        assert run.rid == 2

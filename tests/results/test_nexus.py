"""The default plot as NeXus viewers look for it: links with plain names, which follow what the run declares."""

import io
from collections.abc import Iterator
from typing import Any

import h5py
import pytest

from rexec.results.hdf5.nexus import declared_paths, write_plot

NAMES = {"y": "y", "t": "t", "a/b": "a/b", "µ $": "µ $", "..": "%2E%2E (value)"}


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as file:
        file.create_group("rexec")
        for name in NAMES.values():
            file[f"datasets/{name}"] = [[1.0, 2.0], [3.0, 4.0]]
        file["datasets/y"].attrs["unit"] = "mV"
        yield file


def plot(signal: Any, *axes: Any) -> dict[str, Any]:
    return {"signal": signal, "axes": list(axes)}


@pytest.mark.parametrize(
    ("declared", "links", "axes"),
    [
        (plot("y"), {"y": "/datasets/y"}, []),
        (plot("y", "t"), {"y": "/datasets/y", "t_1": "/datasets/t"}, ["t_1"]),
        (plot("y", "nothing", "t"), {"y": "/datasets/y", "t_1": "/datasets/t"}, [".", "t_1"]),
        (
            plot("y", "t", "t", "a/b"),
            {"y": "/datasets/y", "t_1": "/datasets/t"},
            ["t_1", "t_1"],
        ),  # it has two axes
        (plot("y", "y"), {"y": "/datasets/y"}, ["y"]),
        (plot("a/b", "µ $"), {"a_b": "/datasets/a/b", "µ __1": "/datasets/µ $"}, ["µ __1"]),
        (plot("..", "t"), {"axis_0": "/datasets/%2E%2E (value)", "t_1": "/datasets/t"}, ["t_1"]),
        (plot("y", ".."), {"y": "/datasets/y", "axis_1": "/datasets/%2E%2E (value)"}, ["axis_1"]),
        ({"signal": "y"}, {"y": "/datasets/y"}, []),
    ],
)
def test_links_have_plain_names_and_follow_what_is_declared(
    file: h5py.File, declared: Any, links: dict[str, str], axes: list[str]
) -> None:
    write_plot(file, plot("t", "a/b"), NAMES)
    write_plot(file, declared, NAMES)
    group = file[file.attrs["default"]][file["rexec"].attrs["default"]]
    assert {name: group.get(name, getlink=True).path for name in group} == links
    assert list(group.attrs["axes"]) == axes
    assert declared_paths(file) == (links[group.attrs["signal"]], [links.get(name) for name in axes])
    assert ("units" in file["datasets/y"].attrs) == ("/datasets/y" in links.values())


@pytest.mark.parametrize("declared", [None, [], {}, {"signal": "nothing"}, {"axes": ["y"]}])
def test_what_is_not_there_is_not_declared(file: h5py.File, declared: Any) -> None:
    write_plot(file, declared, NAMES)
    assert declared_paths(file) is None
    assert "default" not in file.attrs


def test_a_link_that_leads_elsewhere_is_put_right_and_one_that_is_right_stays(file: h5py.File) -> None:
    write_plot(file, plot("y", "t"), NAMES)
    group = file["rexec/plot"]
    del group["y"]
    group["y"] = [1.0]  # no link at all
    del group["t_1"]
    group["t_1"] = h5py.SoftLink("/datasets/y")
    write_plot(file, plot("y", "t"), NAMES)
    assert declared_paths(file) == ("/datasets/y", ["/datasets/t"])


def test_a_link_whose_dataset_is_gone_is_put_right(file: h5py.File) -> None:
    write_plot(file, plot("y", "t"), NAMES)
    file["datasets"].move("y", "y (value)")
    assert file["rexec/plot"].get("y") is None
    write_plot(file, plot("y", "t"), NAMES | {"y": "y (value)"})
    assert declared_paths(file) == ("/datasets/y (value)", ["/datasets/t"])


def test_a_plot_of_what_is_no_link_is_none(file: h5py.File) -> None:
    group = file["rexec"].create_group("plot")
    assert declared_paths(file) is None
    group.attrs["signal"], group.attrs["axes"] = "y", ["t", "."]
    assert declared_paths(file) is None
    group["y"] = h5py.SoftLink("/datasets/y")
    assert declared_paths(file) == ("/datasets/y", [None, None])

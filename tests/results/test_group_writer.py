"""A group of a file is kept equal to what a run holds: only what changed is written, and nothing is left over."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import pytest
import xarray

from rexec.ground.plain import simpler
from rexec.results.fold import RunState
from rexec.results.hdf5 import datasets as module
from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.datasets import GroupWriter
from rexec.results.hdf5.storage import CHUNK
from rexec.results.hdf5.values import pyon_of, value_of
from rexec.results.item import Item, RowsReleased
from rexec.results.journal.records import Kind, Record


def long() -> list[Any]:
    """Return a list that grows in the file."""
    return [0.5] * 600


class Kept:
    """A state and a group of a file in memory."""

    def __init__(self, file: h5py.File) -> None:
        self.file, self.state, self.writer = file, RunState(), GroupWriter("datasets")

    def set(self, key: str, value: Any, metadata: Any = None, **fields: Any) -> None:
        record = Record(Kind.SET, key, 5.0, value, metadata or {}, **fields)
        self.state.apply(record._replace(number=self.state.records + 1))

    def append(self, key: str, value: Any) -> None:
        record = Record(Kind.APPEND, key, 6.0, value, archive=False, number=self.state.records + 1)
        self.state.apply(record)

    def mutate(self, key: str, index: Any, value: Any) -> None:
        record = Record(Kind.MUTATE, key, 7.0, value, index=index, number=self.state.records + 1)
        self.state.apply(record)

    def delete(self, key: str) -> None:
        self.state.apply(Record(Kind.DELETE, key, number=self.state.records + 1))

    def update(self, settings: Any = None, **options: Any) -> list[str]:
        before = self.state.epoch
        said = self.writer.update(self.file, self.state.datasets, settings or {}, before, **options)
        self.state.epoch += 1
        return said

    def __getitem__(self, name: str) -> Any:
        return self.file["datasets"][name]

    def places(self) -> dict[str, int]:
        found: dict[str, int] = {}

        def note(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                found[name] = h5py.h5o.get_info(node.id).addr

        self.file["datasets"].visititems(note)
        return found

    def check(self) -> None:
        for key, name in self.writer.names.items():
            node = self[name]
            assert node.attrs["rexec_crc32"] == checksum(node[()]), key
            assert node.attrs["rexec_time"] == self.state.datasets[key].time


@pytest.fixture
def kept() -> Iterator[Kept]:
    with h5py.File(io.BytesIO(), "w") as file:
        yield Kept(file)


def test_what_has_not_changed_is_left_where_it_is(kept: Kept) -> None:
    for key, value in (("n", 1), ("s", "a"), ("list", long()), ("array", np.zeros(4)), ("odd", {"a": 1})):
        kept.set(key, value)
    assert kept.update() == []
    before = kept.places()
    kept.set("n", 2)
    kept.set("s", "bc")
    kept.append("list", 1.5)
    kept.mutate("array", 1, 7.0)
    assert kept.update() == []
    assert kept.places() == before
    assert (kept["n"][()], kept["s"].asstr()[()]) == (2, "bc")
    assert kept["list"][-2:].tolist() == [0.5, 1.5]
    assert kept["array"][()].tolist() == [0.0, 7.0, 0.0, 0.0]
    kept.check()
    kept.set("n", 2.5)
    kept.set("array", np.zeros(5))
    kept.append("list", "text")
    kept.update()
    assert (kept["n"][()], kept["array"].shape) == (2.5, (5,))
    assert kept["list"].shape == () or len(kept["list"]) == 602
    assert {name: place for name, place in kept.places().items() if name in ("s", "odd")} == {
        name: before[name] for name in ("s", "odd")
    }
    kept.check()


def test_groups_come_and_go_with_what_is_in_them(kept: Kept) -> None:
    for key in ("a/b/c", "a/b/d", "e/f/g", "x"):
        kept.set(key, [None])
    kept.update()
    kept.delete("a/b/c")
    kept.delete("e/f/g")
    kept.set("x/y", 1)
    kept.update()
    assert kept.writer.names == {"a/b/d": "a/b/d", "x": "x (value)", "x/y": "x/y"}
    assert sorted(kept.file["datasets"]) == ["a", "x", "x (value)"]
    assert list(kept["a/b"]) == ["d"]
    assert pyon_of(kept["x (value)"].attrs["rexec_key"]) == "x"
    assert "rexec_key" not in kept["x/y"].attrs
    kept.set("e", 1)  # in the place of a group that is gone
    assert kept.update() == []
    assert kept["e"][()] == 1


def test_what_belongs_beside_goes_with_its_dataset(kept: Kept) -> None:
    kept.set("m", simpler(np.ma.masked_array([1.0, 2.0], [False, True])))
    kept.update()
    assert "mask" in kept.file["rexec/beside/datasets/m"]
    kept.set("m", [1.0, 2.0])
    kept.update()
    assert "m" not in kept.file["rexec/beside/datasets"]


def test_a_part_that_hdf5_refuses_costs_neither_the_value_nor_the_next_one(kept: Kept) -> None:
    many = np.zeros(2, [(f"field {number}", "i4") for number in range(2000)])
    many["field 7"] = [3, 4]
    kept.set("x", simpler(xarray.DataArray([1.0, 2.0], dims="t", coords={"c": ("t", many)})))
    (problem,) = kept.update()  # the header of a dataset has 64 KiB, in which its type must fit
    assert problem.startswith("datasets/x: HDF5 refused it as it stands")
    found = value_of(kept["x"])
    assert (found.values.tolist(), found.coords["c"].values["field 7"].tolist()) == ([1.0, 2.0], [3, 4])
    assert "x" not in kept.file["rexec/beside/datasets"]
    plain = xarray.DataArray([1.0, 2.0], dims="t", coords={"c": ("t", [5, 6])})
    kept.set("x", simpler(plain))
    assert kept.update() == []
    assert value_of(kept["x"]).identical(plain)
    assert kept["x"][()].tolist() == [1.0, 2.0]
    kept.check()


def test_only_what_is_asked_for_is_brought_up_to_date(kept: Kept) -> None:
    kept.set("a", 1)
    kept.set("b", 1)
    kept.update()
    kept.set("a", 2)
    kept.set("b", 2)
    kept.update(only=["b"])
    assert (kept["a"][()], kept["b"][()]) == (1, 2)


@pytest.mark.parametrize(
    ("value", "settings", "said"),
    [
        (
            np.zeros((4, 4)),
            {"chunks": [2]},
            "datasets/x: HDF5 refused it as it stands, or its storage settings (",
        ),
        (
            [300.0] * 600,
            {"dtype": "<u1"},
            "datasets/x: its values do not fit into <u1, it is kept as it was given",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told_once_and_cost_nothing(
    kept: Kept, value: Any, settings: dict[str, Any], said: str
) -> None:
    kept.set("x", value)
    kept.set("y", 1)
    (problem,) = kept.update({"x": settings})
    assert problem.startswith(said)
    assert np.array_equal(kept["x"][()], value)
    assert kept["y"][()] == 1
    before = kept.places()
    assert kept.update({"x": settings}) == []
    assert kept.places() == before
    assert kept.update({}) == []
    kept.check()


@pytest.mark.parametrize(
    "value",
    ["a", b"a", None, {"__jsonclass__": 1}, {"a": 1}, ["a"] * 600, [np.arange(2), np.arange(3)]],
)
def test_a_type_of_numbers_is_not_used_for_what_are_none(kept: Kept, value: Any) -> None:
    kept.set("x", value)
    kept.update({"x": {"dtype": "<f4"}})
    assert repr(value_of(kept["x"])) == repr(value)
    kept.check()


def test_of_an_array_only_the_rows_that_were_changed_are_written(kept: Kept) -> None:
    kept.set("x", np.zeros((4, 2)))
    kept.update()
    kept["x"][0] = 9.0  # which nobody does
    kept.mutate("x", 2, 7.0)
    kept.update()
    assert kept["x"][:, 0].tolist() == [9.0, 0.0, 7.0, 0.0]
    kept.set("x", np.zeros((4, 2)))
    kept.mutate("x", 2, 7.0)
    kept.update()
    assert kept["x"][:, 0].tolist() == [0.0, 0.0, 7.0, 0.0]
    kept.check()


def test_other_settings_have_a_dataset_written_anew(kept: Kept) -> None:
    kept.set("x", long())
    kept.update()
    assert (kept["x"].compression, kept["x"].dtype) == ("gzip", np.float64)
    kept.update({"x": {"compression": None, "dtype": "<f4"}})
    assert (kept["x"].compression, kept["x"].dtype) == (None, np.float32)
    kept.append("x", 1.5)
    kept.update({"x": {"compression": None, "dtype": "<f4"}})
    assert kept["x"][-1] == 1.5
    kept.check()


@pytest.mark.parametrize("settings", [{}, {"level": 1}])
@pytest.mark.parametrize("allowed", [True, False])
def test_what_there_is_no_time_to_compress_is_written_as_it_is(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], allowed: bool
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(kept.writer._pace, "begin", lambda *, hurry: begun.append(hurry))
    monkeypatch.setattr(kept.writer._pace, "allows", lambda _: allowed)
    kept.set("x", np.zeros(5000))
    kept.set("list", long())
    for hurry in (True, False):
        kept.update({"x": settings} if settings else {}, hurry=hurry)
    assert begun == [True, False]
    is_compressed = allowed or bool(settings)
    assert (kept["x"].compression, kept["x"].chunks is not None) == ("gzip" if is_compressed else None, True)
    assert (kept["list"].compression, kept["list"].maxshape) == ("gzip" if allowed else None, (None,))


def test_how_fast_the_library_compresses_is_measured_by_what_it_compresses(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    @contextmanager
    def noted(count: int) -> Iterator[None]:
        measured.append(count)
        yield

    monkeypatch.setattr(kept.writer._pace, "measured", noted)
    kept.set("array", np.zeros(5000))
    kept.set("small", np.zeros(5))
    kept.set("list", long())
    kept.update()
    assert measured == [40_000, 0, 4800]
    kept.append("list", 1.5)
    kept.update()
    assert measured[3:] == [8]


@pytest.mark.parametrize(
    ("metadata", "attributes", "rest"),
    [
        ({}, {}, None),
        ({"unit": "V", "scale": 1e-3, "precision": 3}, {"unit": "V", "scale": 1e-3, "precision": 3}, None),
        ({"unit": "V\0"}, {"unit": "V\\0"}, None),
        ({"unit": "V" * 999}, {"unit": "V" * 999}, None),
        ({"unit": "V" * 1000}, {}, {"unit": "V" * 1000}),
        ({"unit": 5}, {}, {"unit": 5}),
        ({"scale": 2}, {"scale": 2.0}, None),
        ({"scale": True}, {}, {"scale": True}),
        ({"scale": 2**1000 - 2**940}, {"scale": float(2**1000 - 2**940)}, None),
        ({"scale": -(2**1000)}, {}, {"scale": -(2**1000)}),
        ({"scale": "2"}, {}, {"scale": "2"}),
        ({"precision": 2**63 - 1}, {"precision": 2**63 - 1}, None),
        ({"precision": -(2**63)}, {}, {"precision": -(2**63)}),
        ({"precision": 1.5}, {}, {"precision": 1.5}),
        ({"more": [1]}, {}, {"more": [1]}),
    ],
)
def test_metadata_have_the_types_of_artiq_and_others_are_pyon(
    kept: Kept, metadata: dict[str, Any], attributes: dict[str, Any], rest: dict[str, Any] | None
) -> None:
    kept.set("x", 1, {"unit": "other", "units": "odd", "scale": 9.0, "precision": 9})
    kept.update()
    kept.set("x", 1, metadata)
    kept.update()
    found = dict(kept["x"].attrs)
    for name in ("rexec_crc32", "rexec_time", "rexec_type"):
        found.pop(name)
    more = found.pop("rexec_metadata", None)
    assert found == attributes
    assert (None if more is None else pyon_of(more)) == rest


@pytest.mark.parametrize(("origin", "kept_as"), [("run", None), ("client", "client")])
def test_who_set_a_dataset_is_told_where_it_was_not_the_run(kept: Kept, origin: Any, kept_as: Any) -> None:
    kept.set("x", 1, origin="client")
    kept.update()
    kept.set("x", 2, origin=origin)
    kept.update()
    assert kept["x"].attrs.get("rexec_origin") == kept_as


def test_which_rows_the_file_holds(kept: Kept) -> None:
    for key, value in (("long", long()), ("short", [0.5]), ("odd", [None]), ("array", np.zeros(4)), ("n", 1)):
        kept.set(key, value)

    def held() -> dict[str, int | None]:
        epoch = kept.state.epoch
        return {key: kept.writer.held_rows(key, item, epoch) for key, item in kept.state.datasets.items()}

    assert held() == dict.fromkeys(("long", "short", "odd", "array", "n"))
    kept.update()
    assert held() == {"long": 600, "short": None, "odd": 0, "array": None, "n": 0}
    kept.mutate("long", 3, 1.5)
    assert held()["long"] == 0
    kept.update()
    assert held()["long"] == 600
    kept.set("long", long())
    assert held()["long"] is None


def test_rows_that_are_in_files_alone_are_not_written_anew(kept: Kept) -> None:
    kept.set("x", long())
    kept.update()
    kept.state.datasets["x"].release(600)
    kept.append("x", 1.5)
    kept.update()
    assert kept["x"].shape == (601,)
    kept.append("x", "text")
    with pytest.raises(RowsReleased):
        kept.update()


def test_the_room_that_is_needed_is_that_of_what_changed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def upper_size(value: Any) -> int:
        asked.append(value if isinstance(value, int) else len(value))
        return 1000

    monkeypatch.setattr(module, "upper_size", upper_size)
    items = kept.state.datasets

    def room() -> tuple[int, list[Any]]:
        asked.clear()
        return kept.writer.upper_size(items, kept.state.epoch), list(asked)

    beside = 3 * 4096 + 16384
    kept.set("n", 1)
    kept.set("list", long())
    kept.set("array", np.zeros(5))
    assert room() == (3000 + 60 + beside, [1, 600, 5])
    kept.update()
    assert room() == (beside, [])
    kept.append("list", 1.5)
    added = 1000 + 4 * CHUNK
    assert room() == (added + added // 50 + beside, [1])
    kept.mutate("list", 3, 1.5)
    assert room() == (1000 + 20 + beside, [601])
    kept.update()
    kept.mutate("array", 3, 1.5)
    assert room() == (1000 + 20 + beside, [5])
    kept.set("n", 7)
    monkeypatch.setattr(module, "upper_size", lambda _: 8193)
    assert kept.writer.upper_size({"n": items["n"]}, 9) == (
        8193 + CHUNK + (8193 + CHUNK) // 50 + 4096 + 16384
    )
    monkeypatch.setattr(module, "upper_size", lambda _: 8192)
    assert kept.writer.upper_size({"n": items["n"]}, 9) == 8192 + 8192 // 50 + 4096 + 16384
    assert kept.writer.upper_size({}) == 16384
    assert isinstance(items["n"], Item)

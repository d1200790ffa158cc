"""A recording's file: columns that plain h5py reads, and every change back in order."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rexec.results import ResultsError, open, recover, verify
from rexec.results.fold import RunState
from rexec.results.hdf5.file import FoldedFile
from rexec.results.hdf5.values import pyon_of
from rexec.results.journal.records import Kind, Record
from rexec.results.reading.replay import apply, changes, comparisons, recorded_keys, value_at
from rexec.results.recordings import Translation
from rexec.results.writer import ResultsWriter
from rexec.wire import pyon
from schemas import RunIdentity

IDENTITY = RunIdentity(rid=0, class_name="Recording", start_time=0.0, recording={"mode": "record"})


def recorded(folder: Path, records: list[Record], refresh: int = 3) -> Path:
    """Write a recording's file, refreshed now and then, and return its path."""
    path = folder / "recording.h5"
    path.unlink(missing_ok=True)
    state, file = RunState(), FoldedFile(path, b"x" * 16)
    translate = Translation(state)
    for number, record in enumerate([Record(Kind.IDENTITY, value=IDENTITY.as_dict()), *records]):
        for each in translate(record._replace(number=number)):
            state.apply(each)
        if number % refresh == 0:
            file.update(state)
    file.update(state, compact=True)
    return path


def put(key: str, value: Any, time: float, **metadata: Any) -> Record:
    """Return the record of a dataset that was set."""
    return Record(Kind.SET, key, time, value, metadata)


def test_a_number_that_is_set_again_and_again_is_plotted_by_two_columns(tmp_path: Path) -> None:
    records = [put("lab/temperature", value, time, unit="K") for time, value in enumerate([0, 1.5, 2, 2.5])]
    with h5py.File(recorded(tmp_path, records)) as file:
        group = file["datasets/lab/temperature"]
        assert group["value"][:].tolist() == [0.0, 1.5, 2.0, 2.5]
        assert group["value"].attrs["unit"] == "K"
        assert group["time"][:].tolist() == [0.0, 1.0, 2.0, 3.0]
        assert np.all(np.diff(group["order"][:]) > 0)
        assert set(group) == {"value", "time", "order"}


def test_appends_are_growing_arrays_and_say_where_each_list_began(tmp_path: Path) -> None:
    records = [
        put("scan", [], 1.0),
        Record(Kind.APPEND, "scan", 2.0, 5.0),
        Record(Kind.APPEND, "scan", 3.0, 6),
        put("scan", [7.5, 8], 4.0),
        Record(Kind.APPEND, "scan", 5.0, 9.5),
    ]
    path = recorded(tmp_path, records)
    with h5py.File(path) as file:
        group = file["datasets/scan"]
        assert group["items_value"][:].tolist() == [5.0, 6.0, 7.5, 8.0, 9.5]
        assert group["items_time"][:].tolist() == [2.0, 3.0, 4.0, 4.0, 5.0]
        assert group["lists_length"][:].tolist() == [0, 2]
    with open(path) as run:
        assert value_at(run, "scan", 3.5) == [5.0, 6.0]
        assert value_at(run, "scan", 9.0) == [7.5, 8.0, 9.5]
        with pytest.raises(KeyError):
            value_at(run, "scan", 0.5)
        with pytest.raises(ResultsError, match="records no dataset 'nothing'; it has scan"):
            changes(run, "nothing")


def test_images_are_stacked_by_shape_and_what_hdf5_cannot_take_is_marked_text(tmp_path: Path) -> None:
    records = [put("image", np.full((2, 3), n, np.uint16), n) for n in range(3)]
    records += [put("image", np.zeros((4, 3)), 3), put("image", None, 4), put("image", {"a": (1, None)}, 5)]
    path = recorded(tmp_path, records)
    with h5py.File(path) as file:
        group = file["datasets/image"]
        assert group["value"].shape == (3, 2, 3)
        assert group["value"].dtype == np.uint16
        assert group["value_2"].shape == (1, 4, 3)
        assert [pyon_of(text) for text in group["other_value"].asstr()] == [None, {"a": (1, None)}]
    with open(path) as run:
        assert [change.time for change in changes(run, "image")] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("numbers", "columns"),
    [
        ([1, 0.5, 2], {"": [1.0, 0.5, 2.0]}),
        ([0.5, 2**53, -(2**53)], {"": [0.5, 2.0**53, -(2.0**53)]}),
        ([0.5, 2**53 + 1], {"": [0.5], "_2": [2**53 + 1]}),
        ([2**53, 0.5], {"": [2.0**53, 0.5]}),
        ([2**53 + 1, 0.5, 3], {"": [2**53 + 1, 3], "_2": [0.5]}),
        ([1, True, 2], {"": [1, 2], "_2": [True]}),
        ([np.int8(1), np.float32(0.5)], {"": [1.0, 0.5]}),
    ],
)
@pytest.mark.parametrize("kind", [Kind.SET, Kind.APPEND, Kind.MUTATE])
def test_ints_are_in_the_column_of_floats_where_that_loses_nothing(
    tmp_path: Path, numbers: list[Any], columns: dict[str, list[Any]], kind: Kind
) -> None:
    of_list = [] if kind is Kind.SET else [put("x", [], 0.0)]
    index = 0 if kind is Kind.MUTATE else None
    records = [Record(kind, "x", 1.0, number, {"unit": "K"}, index, archive=False) for number in numbers]
    prefix = {Kind.SET: "", Kind.APPEND: "items_", Kind.MUTATE: "mutations_"}[kind]
    with h5py.File(recorded(tmp_path, of_list + records)) as file:
        found = {name: file[f"datasets/x/{prefix}value{name}"] for name in columns}
        assert {name: each[:].tolist() for name, each in found.items()} == columns
        assert {name: type(each[:].tolist()[0]) for name, each in found.items()} == {
            name: type(each[0]) for name, each in columns.items()
        }
        assert all(each.attrs["unit"] == "K" for each in found.values())
        assert f"{prefix}value_{len(columns) + 1}" not in file["datasets/x"]


def test_a_dataset_of_many_types_has_columns_for_eight_and_text_for_the_rest(tmp_path: Path) -> None:
    values = [1, "a", True, 2j, *(np.zeros(size) for size in range(1, 6))]
    path = recorded(tmp_path, [put("x", value, float(number)) for number, value in enumerate(values)])
    with h5py.File(path) as file:
        names = {name for name in file["datasets/x"] if "value" in name}
        assert names == {"value", *(f"value_{number}" for number in range(2, 9)), "other_value"}
    with open(path) as run:
        assert repr([each.value for each in changes(run, "x")]) == repr(values)


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.booleans(), st.text(max_size=3)
)
ARRAYS = st.integers(0, 3).map(lambda size: np.arange(size * 2, dtype=float).reshape(size, 2))
VALUES = st.one_of(
    NUMBERS, ARRAYS, st.none(), st.lists(NUMBERS, max_size=3), st.lists(st.integers(0, 5), max_size=3),
    st.tuples(NUMBERS, st.none()), st.dictionaries(st.text(max_size=2), NUMBERS, max_size=2),
    st.sampled_from([np.float32(0.5), np.int16(3), 1 + 2j, b"bytes", {1, 2}]),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "append", "mutate", "slice", "delete"]),
        st.sampled_from(["a", "a/items", "b.c"]),
        VALUES,
    ),
    max_size=25,
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_every_change_comes_back_in_order(tmp_path: Path, steps: list[Any]) -> None:
    held: dict[str, Any] = {}
    records: list[Record] = []
    for number, (what, key, value) in enumerate(steps):
        time = float(number)
        target = held.get(key)
        if what == "set":
            records.append(put(key, value, time))
            held[key] = pyon.decode(pyon.encode(value))
        elif what == "append" and isinstance(target, list):
            records.append(Record(Kind.APPEND, key, time, value))
            target.append(pyon.decode(pyon.encode(value)))
        elif what == "mutate" and isinstance(target, list) and target:
            records.append(Record(Kind.MUTATE, key, time, value, None, 0))
            target[0] = pyon.decode(pyon.encode(value))
        elif what == "slice" and isinstance(target, list) and isinstance(value, list):
            records.append(Record(Kind.MUTATE, key, time, value, None, slice(0, 1)))
            target[0:1] = pyon.decode(pyon.encode(value))
        elif what == "delete" and key in held:
            records.append(Record(Kind.DELETE, key, time))
            del held[key]
    path = recorded(tmp_path, records)
    assert verify(path) == []
    with open(path) as run:
        replayed: dict[str, Any] = {}
        told = sorted(
            ((change, key) for key in recorded_keys(run) for change in changes(run, key)),
            key=lambda each: each[0].order,
        )
        assert [change.time for change, _ in told] == [record.time for record in records]
        for change, key in told:
            apply(replayed, key, change)
    assert repr_of(replayed) == repr_of(held)


def repr_of(values: dict[str, Any]) -> str:
    """Return values as comparable text; an int that was recorded among floats is the float of the same value."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) is int and abs(value) <= 2**53:
            return float(value)
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value

    return repr({key: plain(values[key]) for key in sorted(values)})


def test_a_killed_recorders_journal_becomes_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "recording.h5"
    writer = ResultsWriter.create(path, IDENTITY, refresh_interval=0)
    writer.note("comparison", {"time": 1.0, "reason": "connected", "lost": None, "changes": 1})
    writer.set("x", 1, {})
    writer.set("x", 2.5, {})
    writer.sync()
    journal = path.with_name(path.name + ".journal")
    copy = tmp_path / "elsewhere" / journal.name
    copy.parent.mkdir()
    copy.write_bytes(journal.read_bytes())
    writer.close()
    assert recover(copy).outcome == "recovered"
    for file in (path, copy.with_name(path.name)):
        with open(file) as run:
            assert [(each.value, each.is_found) for each in changes(run, "x")] == [(1.0, True), (2.5, False)]
            (comparison,) = comparisons(run)
            assert comparison["reason"] == "connected"

"""ARTIQ's meaning of broadcast, persist, archive, mutate and metadata; each change once, in every place."""

import logging
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.datasets import Dataset, DatasetDB, DatasetManager, DatasetTooLarge, Mod, NoSink, Origin
from rexec.datasets.errors import ForkedRun
from rexec.datasets.values import compared, same
from rexec.ground.kept import has_kept
from rexec.results import ResultsWriter
from schemas import RunIdentity
from tests.ground.forking import in_a_fork
from tests.immutable import changeable


def test_a_dataset_that_is_not_there_has_the_nearest_name() -> None:
    with DatasetDB(None) as db:
        db.set("laser.power", 1)
        manager = DatasetManager(db)
        manager.set("signal", [1])
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("signal", lambda: manager.get("singal")),
            ("laser.power", lambda: manager.get_metadata("laser.pwer")),
            ("signal", lambda: manager.append_to("Signal", 1)),
            ("signal", lambda: manager.mutate("signa", 0, 1)),
        ]
        caught = []
        for _, call in calls:
            with pytest.raises(KeyError) as error:
                call()
            caught.append(error.value)
    # The text is asked for after the database is closed, when the run shows its error.
    for (name, _), error_value in zip(calls, caught, strict=True):
        assert str(error_value).endswith(f"Did you mean {name!r}?")
    copied = pickle.loads(pickle.dumps(caught[0]))
    assert (type(copied), copied.args) == (KeyError, ("singal",))


class Recorder(NoSink):
    """A sink that remembers, and can be told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []
        self.full = False

    def _keep(self, *call: Any) -> None:
        if self.full:
            raise OSError("no space")
        self.calls.append(call)
        self.position += 1

    def set(
        self,
        key: str,
        value: Any,
        metadata: Mapping[str, Any],
        *,
        broadcast: bool,
        persist: bool,
        archive: bool,
        origin: Origin,
    ) -> None:
        self._keep("set", key, value, dict(metadata), broadcast, persist, archive, origin)

    def append(self, key: str, value: Any, *, origin: Origin) -> None:
        self._keep("append", key, value, origin)

    def mutate(self, key: str, index: Any, value: Any, *, origin: Origin) -> None:
        self._keep("mutate", key, index, value, origin)

    def delete(self, key: str, *, origin: Origin) -> None:
        self._keep("delete", key, origin)

    def archive(self, key: str, value: Any, metadata: Mapping[str, Any]) -> None:
        self._keep("archive", key, value, dict(metadata))


def test_an_append_to_a_broadcast_list_is_stored_once_everywhere() -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    manager.set("x", [], broadcast=True)
    manager.append_to("x", 1)
    manager.append_to("x", 2)
    assert manager.get("x") == db.get("x") == [1, 2]
    assert [call for call in sink.calls if call[0] == "append"] == [
        ("append", "x", 1, "run"),
        ("append", "x", 2, "run"),
    ]


def test_an_append_to_a_broadcast_list_travels_as_a_modification() -> None:
    db, seen = DatasetDB(), []

    def listener(mod: Mod, _: Origin) -> None:
        seen.append(dict(mod))

    db.subscribe(listener)
    manager = DatasetManager(db)
    manager.set("x", [0, 0, 0], broadcast=True)
    manager.append_to("x", 1)
    manager.mutate("x", 0, 7)
    assert seen[1:] == [
        {"action": "append", "path": ["x", 1], "x": 1},
        {"action": "setitem", "path": ["x", 1], "key": 0, "value": 7},
    ]


def test_setting_again_without_broadcast_removes_the_broadcast_value() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.set("x", 1, broadcast=True)
    manager.set("x", 2)
    assert manager.get("x") == 2
    with pytest.raises(KeyError):
        db.get("x")


def test_persist_implies_broadcast_and_is_told_to_the_database() -> None:
    db = DatasetDB()
    DatasetManager(db).set("x", 1, {"unit": "V"}, persist=True)
    assert db.get_entry("x") == (True, 1, {"unit": "V"})


def test_a_dataset_not_archived_is_not_local_but_can_be_changed_and_read() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.set("x", [1], broadcast=True, archive=False)
    manager.append_to("x", 2)
    assert "x" not in manager.local
    assert manager.get("x") == [1, 2]


def test_a_dataset_stored_nowhere_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("x", 1, archive=False)
    assert "x is stored nowhere" in caplog.text
    with pytest.raises(KeyError):
        manager.get("x")


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (2, [0, 0, 9, 0, 0]),
        (-1, [0, 0, 0, 0, 9]),
        ((1, 3), [0, 9, 9, 0, 0]),
        ((0, 5, 2), [9, 0, 9, 0, 9]),
        (((1, 2),), [0, 9, 0, 0, 0]),
    ],
)
def test_mutate_takes_indexes_and_tuples_as_slices(index: Any, expected: list[int]) -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.set("x", np.zeros(5, int), broadcast=True)
    manager.mutate("x", index, 9)
    assert manager.get("x").tolist() == db.get("x").tolist() == expected


def test_a_tuple_of_tuples_is_one_slice_for_each_dimension() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("x", np.zeros((3, 3), int))
    manager.mutate("x", ((0, 2), (1, 3)), 4)
    assert manager.get("x").tolist() == [[0, 4, 4], [0, 4, 4], [0, 0, 0]]


@pytest.mark.parametrize("change", ["mutate", "append_to"])
def test_changing_a_dataset_that_was_not_set_is_a_key_error(change: str) -> None:
    manager = DatasetManager(DatasetDB())
    with pytest.raises(KeyError, match="has set no dataset"):
        manager.mutate("x", 0, 1) if change == "mutate" else manager.append_to("x", 1)


def test_appending_to_an_array_says_what_to_do() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("x", np.zeros(3))
    with pytest.raises(TypeError, match=r"'x': it is a ndarray, not a list; set it to \[\] first"):
        manager.append_to("x", 1)


def test_what_the_sink_refuses_is_not_in_memory_either() -> None:
    sink = Recorder()
    manager = DatasetManager(DatasetDB(), sink=sink)
    manager.set("x", [1, 2])
    manager.set("y", np.arange(3))
    sink.full = True
    changes: list[Callable[[], None]] = [
        lambda: manager.append_to("x", 3),
        lambda: manager.mutate("x", 0, 9),
        lambda: manager.mutate("x", (0, 1), [7, 8, 9]),
        lambda: manager.mutate("y", (0, 2), 9),
        lambda: manager.set("x", 5),
    ]
    for change in changes:
        with pytest.raises(OSError, match="no space"):
            change()
    assert manager.get("x") == [1, 2]
    assert manager.get("y").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "index"),
    [({"a": 1}, "b"), ({"a": 1}, "a"), (np.ma.array([1.0, 2.0], mask=[True, False]), 0), ([1, 2], 1)],
)
def test_a_part_that_the_sink_refuses_is_as_it_was(value: Any, index: Any) -> None:
    sink = Recorder()
    manager = DatasetManager(DatasetDB(), sink=sink)
    manager.set("x", value)
    sink.full = True
    with pytest.raises(OSError, match="no space"):
        manager.mutate("x", index, 9.0)
    assert same(manager.get("x"), value)
    if isinstance(value, np.ma.MaskedArray):
        assert manager.get("x").data.tolist() == [1.0, 2.0]
        assert not manager.get("x").hardmask


def test_what_the_database_refuses_is_taken_back_in_memory_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.datasets._lmdb.MAP_SIZE", 2**22)
    sink = Recorder()
    with DatasetDB(tmp_path / "dataset_db.mdb") as db:
        manager = DatasetManager(db, sink=sink)
        manager.set("x", [1], persist=True)
        kept = sink.calls[-1]
        for key, taken_back in (("x", kept), ("y", ("delete", "y", "run"))):
            with pytest.raises(DatasetTooLarge):
                manager.set(key, np.zeros(2**20), persist=True)
            assert sink.calls[-1] == taken_back
        assert manager.get("x") == db.get("x") == [1]
        assert "y" not in manager.local


def test_a_list_changed_behind_the_managers_back_changes_nothing_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    points, image = [1], np.zeros(2)
    manager.set("points", points, broadcast=True)
    manager.set("image", image)
    manager.set("steady", [1])
    manager.set("grown", [1])
    manager.append_to("grown", 2)
    points.append(2)
    image[0] = 5
    manager.get("points").append(3)
    assert manager.get("points") == db.get("points") == sink.calls[0][2] == [1]
    assert manager.get("image").tolist() == [0, 0]
    assert sorted(manager.check_unchanged()) == ["image", "points"]
    manager.close()
    assert caplog.text.count("was changed afterwards") == 2


def test_reading_files_under_archive_and_warns_once_when_the_value_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    db.set("calibration", 1.0, metadata={"unit": "Hz"})
    for _ in range(3):
        assert manager.get("calibration", archive=True) == 1.0
    assert sink.calls == [("archive", "calibration", 1.0, {"unit": "Hz"})]
    assert not caplog.records
    for value in (2.0, 3.0):
        db.set("calibration", value)
        manager.get("calibration", archive=True)
    assert manager.archive["calibration"].value == 3.0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_reading_ones_own_dataset_archives_nothing() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("x", 1)
    manager.get("x", archive=True)
    assert not manager.archive


def test_metadata_comes_from_the_run_then_from_the_database() -> None:
    db = DatasetDB()
    db.set("x", 1, metadata={"unit": "V"})
    manager = DatasetManager(db)
    assert manager.get_metadata("x") == {"unit": "V"}
    manager.set("x", 2, {"unit": "mV", "scale": 1e-3})
    assert manager.get_metadata("x") == {"unit": "mV", "scale": 1e-3}
    with pytest.raises(KeyError):
        manager.get_metadata("y")


def test_a_clients_changes_are_the_runs_and_are_kept_once() -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    manager.set("fits", [], broadcast=True)
    db.update({"action": "append", "path": ["fits", 1], "x": [1.0, 2.0]}, origin="client")
    db.set("note", "seen", origin="client")
    db.update({"action": "setitem", "path": ["fits", 1], "key": 0, "value": 5}, origin="client")
    manager.append_to("fits", 6)
    assert manager.get("fits") == db.get("fits") == [5, 6]
    assert manager.get("note") == "seen"
    assert [call for call in sink.calls if call[-1] == "client"] == [
        ("append", "fits", [1.0, 2.0], "client"),
        ("set", "note", "seen", {}, True, False, True, "client"),
        ("mutate", "fits", 0, 5, "client"),
    ]


def test_a_clients_change_that_the_sink_refuses_is_not_the_runs() -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    manager.set("x", [1, 2], broadcast=True)
    sink.full = True
    for change in ({"action": "setitem", "key": 0, "value": 9}, {"action": "append", "x": 3}):
        with pytest.raises(OSError, match="no space"):
            db.update({**change, "path": ["x", 1]}, origin="client")
    assert manager.get("x") == [1, 2]


def test_a_clients_deep_change_and_its_removal_are_kept() -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    db.set("table", {"a": [1]}, origin="client")
    db.update({"action": "append", "path": ["table", 1, "a"], "x": 2}, origin="client")
    assert manager.local["table"].value == {"a": [1, 2]}
    db.delete("table", origin="client")
    assert "table" not in manager.local
    assert sink.calls[-1] == ("delete", "table", "client")


def test_a_client_cannot_remove_what_the_run_has_measured() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.set("x", [1], broadcast=True)
    db.delete("x", origin="client")
    manager.append_to("x", 2)
    assert manager.local["x"].value == [1, 2]


def test_a_client_cannot_remove_what_the_run_has_made_of_its_dataset() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    db.set("x", [1], origin="client")
    assert manager.local["x"].broadcast
    db.delete("x", origin="client")
    manager.set("x", [2], broadcast=True)
    db.delete("x", origin="client")
    assert manager.local["x"].value == [2]


def test_what_the_run_only_shows_is_not_filed_when_a_client_changes_it() -> None:
    sink, db = Recorder(), DatasetDB()
    manager = DatasetManager(db, sink=sink)
    manager.set("x", [1], broadcast=True, archive=False)
    db.update({"action": "append", "path": ["x", 1], "x": 2}, origin="client")
    db.set("x", [3], origin="client")
    assert (len(sink.calls), list(manager.local)) == (1, [])


def test_a_clients_append_to_what_is_no_list_of_the_run_is_not_kept() -> None:
    sink, db = Recorder(), DatasetDB()
    db.set("x", [1])
    manager = DatasetManager(db, sink=sink)
    manager.set("x", 5)
    with pytest.raises(TypeError, match="it is an int, not a list"):
        db.update({"action": "append", "path": ["x", 1], "x": 2}, origin="client")
    assert ([call[0] for call in sink.calls], manager.get("x")) == (["set"], 5)


def test_what_a_client_or_the_run_has_set_anew_was_not_changed_behind_its_back() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    given: dict[str, list[int]] = {}
    changes: dict[str, Callable[[], object]] = {
        "appended": lambda: db.update({"action": "append", "path": ["appended", 1], "x": 2}, origin="client"),
        "set": lambda: db.set("set", [5], origin="client"),
        "a number": lambda: manager.set("a number", 5),
        "only shown": lambda: manager.set("only shown", [1], broadcast=True, archive=False),
    }
    for key, change in changes.items():
        manager.set(key, given.setdefault(key, [1]), broadcast=True)
        change()
        given[key].append(7)
    assert manager.check_unchanged() == []


def test_a_dataset_of_a_client_that_the_run_hides_is_shown_no_longer() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    db.set("x", 1, origin="client")
    manager.set("x", [2])
    assert not db.has("x")
    manager.append_to("x", 3)
    assert manager.get("x") == [2, 3]
    manager.set("x", [4], broadcast=True)
    db.delete("x")  # somebody else
    manager.set("x", [5])
    assert manager.get("x") == [5]


def test_after_close_a_clients_changes_no_longer_arrive() -> None:
    db = DatasetDB()
    manager = DatasetManager(db)
    manager.close()
    db.set("x", 1, origin="client")
    assert "x" not in manager.local


def test_objects_in_arrays_are_compared_one_by_one() -> None:
    one = np.array([1, "a", None], dtype=object)
    assert same(one, np.array([1, "a", None], dtype=object))
    assert not same(one, np.array([1, "b", None], dtype=object))


def test_a_dataset_is_shown_to_nobody_and_not_kept_unless_it_is_said() -> None:
    assert Dataset(1) == Dataset(1, {}, False, False)
    assert changeable("rexec.datasets") == set()


def test_a_sink_that_keeps_nothing_counts_each_change_once() -> None:
    sink = NoSink()
    manager = DatasetManager(DatasetDB(), sink=sink)
    changes: list[Callable[[], None]] = [
        lambda: manager.set("x", [1]),
        lambda: manager.append_to("x", 2),
        lambda: manager.mutate("x", 0, 3),
    ]
    for number, change in enumerate(changes, 1):
        change()
        assert sink.position == number


def test_the_datasets_of_a_run_are_a_mapping_of_all_of_them() -> None:
    manager = DatasetManager(DatasetDB())
    assert (len(manager.local), list(manager.local)) == (0, [])
    manager.set("x", 1)
    manager.set("y", 2, archive=False)
    manager.set("z", 3)
    assert (len(manager.local), list(manager.local)) == (2, ["x", "z"])


@pytest.mark.skipif(os.name == "nt", reason="arrays stay in memory there")
def test_arrays_that_are_not_in_memory_are_read_when_they_are_looked_at(tmp_path: Path) -> None:
    image = np.arange(100_000.0)
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    with DatasetDB() as db, ResultsWriter.create(tmp_path / "r.h5", identity) as writer:
        manager = DatasetManager(db, sink=writer)
        manager.set("images", [], metadata={"unit": "V"})
        manager.append_to("images", image)
        assert has_kept(manager._local["images"].value)
        seen = manager.local["images"]
        assert same(seen.value, [image])
        assert (seen.metadata, seen.broadcast, seen.persist) == ({"unit": "V"}, False, False)
        copied = pickle.loads(pickle.dumps(seen))
        assert type(copied) is Dataset
        assert same(copied.value, [image])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on Windows")
def test_no_method_is_for_a_forked_child() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("x", [1])
    calls: list[Callable[[], object]] = [
        lambda: manager.set("x", 2),
        lambda: manager.mutate("x", 0, 2),
        lambda: manager.append_to("x", 2),
        lambda: manager.get("x"),
        lambda: manager.get_metadata("x"),
        lambda: manager.write_hdf5(None),
        lambda: manager.set_storage("x"),
        lambda: manager.declare_plot("x"),
    ]

    def refused() -> str:
        for number, call in enumerate(calls):
            try:
                call()
            except ForkedRun:
                continue
            return f"call {number}"
        return "all"

    assert in_a_fork(refused) == "all"


def test_a_list_that_was_changed_is_found_behind_an_array_that_is_gone() -> None:
    manager = DatasetManager(DatasetDB())
    manager.set("gone", np.zeros(3))
    mine = [1]
    manager.set("x", mine)
    mine.append(2)
    assert manager.check_unchanged() == ["x"]


def test_same_compares_at_every_depth() -> None:
    assert same({"a": [np.arange(3), float("nan")]}, {"a": [np.arange(3), float("nan")]})
    assert not same([np.arange(3)], [np.arange(3.0)])
    assert not same([1], [True])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1}, True),
        ([1], [1, 2], False),
        ((1,), [1], False),
        (1, 1.0, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (np.arange(2), [0, 1], False),
        ([0, 1], np.arange(2), False),
        (np.zeros(2), np.zeros((2, 1)), False),
        (np.array([0.0]), np.array([-0.0]), True),
        (np.array([np.nan]), np.array([np.nan]), True),
        (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 3], mask=[False, True]), True),
        (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[False, False]), False),
        (np.ma.array([1, 2], mask=[False, True]), np.ma.array([3, 2], mask=[False, True]), False),
        (np.array([{"a": 1}, None]), np.array([{"a": 1}, None]), True),
    ],
)  # fmt: skip
def test_values_of_any_kind_are_compared(one: Any, other: Any, expected: bool) -> None:
    assert compared(one, other) is expected


def test_metadata_that_no_file_can_have_are_left_out_with_what_was_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd:
        """A master's database, as far as it is read."""

        def get(self, key: str) -> int:
            return {"x": 1}[key]

        def get_metadata(self, key: str) -> Any:
            return {"x": {"unit": 5}}[key]

    store: Any = Odd()
    sink = Recorder()
    manager = DatasetManager(store, sink=sink)
    assert manager.get("x", archive=True) == 1
    assert sink.calls == [("archive", "x", 1, {})]
    assert "its unit is a str, not int. The database has it so" in caplog.text
    for ask in (manager.get, manager.get_metadata):
        with pytest.raises(KeyError, match="there is no dataset 'y'"):
            ask("y")


def test_what_a_run_says_of_its_file_goes_to_the_sink() -> None:
    class Noting(NoSink):
        def __init__(self) -> None:
            super().__init__()
            self.said: list[Any] = []

        def set_storage(self, key: str, **settings: Any) -> None:
            self.said.append((key, settings))

        def declare_plot(self, signal: str, axes: Any = None) -> None:
            self.said.append((signal, axes))

        def write_hdf5(self, file: Any) -> None:
            self.said.append(file)

    sink = Noting()
    manager = DatasetManager(DatasetDB(), sink=sink)
    manager.set_storage("x", level=2)
    manager.declare_plot("x", ["t"])
    manager.write_hdf5("file")
    assert sink.said == [("x", {"level": 2}), ("x", ["t"]), "file"]
    with pytest.raises(TypeError, match="keeps values in memory only"):
        DatasetManager(DatasetDB()).write_hdf5("file")


def test_a_value_whose_change_cannot_be_told_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    class Fails:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]

    manager = DatasetManager(DatasetDB())
    manager.set("x", [Fails()])
    with caplog.at_level(logging.INFO):
        assert manager.check_unchanged() == []
    assert caplog.messages == ["dataset x: whether it was changed after set_dataset cannot be told"]

"""A file that is kept equal to a run's state: also after it was removed, or could not be written."""

import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.results import ResultsNotWritable, write_results
from rexec.results.fold import RunState
from rexec.results.hdf5 import file as module
from rexec.results.hdf5.file import FoldedFile
from rexec.results.hdf5.values import pyon_of
from rexec.results.item import RowsReleased
from rexec.results.journal.records import Kind, Record
from schemas import RunIdentity


class Kept:
    """A state and its file."""

    def __init__(self, path: Path) -> None:
        self.state, self.file = RunState(), FoldedFile(path, b"i" * 16)
        self.apply(Record(Kind.IDENTITY, value={"rid": 5}))

    def apply(self, record: Record) -> None:
        self.state.apply(record._replace(number=self.state.records + 1))

    def set(self, key: str, value: Any) -> None:
        self.apply(Record(Kind.SET, key, value=value, metadata={}, archive=True))

    def update(self, **options: Any) -> dict[str, Any]:
        """Bring the file up to date; return what it holds."""
        self.file.update(self.state, **options)
        with h5py.File(self.file.path) as file:
            assert file["rid"][()] == 5
            return {name: each[()].tolist() for name, each in file["datasets"].items()}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "x.h5")


def test_a_file_that_was_removed_comes_back_whole(kept: Kept) -> None:
    kept.set("a", 1)
    assert (kept.file.is_begun, kept.update(), kept.file.is_begun) == (False, {"a": 1}, True)
    kept.file.path.unlink()
    kept.set("b", 2)
    assert kept.update() == {"a": 1, "b": 2}


def test_what_could_not_be_written_is_written_anew_with_what_is_refused_then(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.apply(Record(Kind.NOTE, "storage", value={"x": {"chunks": [8]}}))
    kept.set("x", np.zeros((64, 64)))
    kept.set("a", 1)
    kept.update()
    (problem,) = kept.file.problems
    assert "datasets/x: HDF5 refused it" in problem
    kept.update()
    assert kept.file.problems == [problem]  # once
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(module, "reserve", full)
        with pytest.raises(OSError, match="No space left"):
            kept.update()
    assert (kept.file.is_begun, kept.file.problems) == (False, [])
    kept.apply(Record(Kind.NOTE, "storage", value={}))
    assert set(kept.update()) == {"a", "x"}
    assert kept.file.problems == []


def test_a_journal_that_was_folded_again_begins_with_the_first_change_in_place(kept: Kept) -> None:
    kept.set("x", [0.5] * 600)
    kept.update()
    kept.update()
    kept.state.datasets["x"].release(600)
    kept.apply(Record(Kind.APPEND, "x", value="no number"))
    with pytest.raises(RowsReleased):
        kept.update()
    kept.state = RunState()
    kept.apply(Record(Kind.IDENTITY, value={"rid": 5}))
    kept.set("x", [0.5] * 600)
    kept.update(only=["x"])
    kept.apply(Record(Kind.MUTATE, "x", value=1.5, index=3))
    assert kept.update() == {"x": [0.5] * 3 + [1.5] + [0.5] * 596}


def test_a_twin_goes_on_with_a_copy_of_the_file(kept: Kept, tmp_path: Path) -> None:
    kept.set("a", [1.0])
    kept.update()
    other = tmp_path / "y.h5"
    other.write_bytes(kept.file.path.read_bytes())
    twin = kept.file.twin(other)
    before = kept.file.path.read_bytes()
    kept.set("b", 2)
    twin.update(kept.state)
    assert kept.file.path.read_bytes() == before
    with h5py.File(other) as file:
        assert set(file["datasets"]) == {"a", "b"}
    assert kept.update() == {"a": [1.0], "b": 2}


def test_of_a_part_of_the_datasets_the_others_stay_as_they_are(kept: Kept) -> None:
    kept.set("a", 1)
    kept.set("b", 1)
    kept.update()
    epoch = kept.state.epoch
    kept.set("a", 2)
    kept.set("b", 2)
    assert kept.update(only=["b"]) == {"a": 1, "b": 2}
    assert kept.state.epoch == epoch
    assert kept.update() == {"a": 2, "b": 2}
    assert kept.state.epoch == epoch + 1


def test_holes_that_are_worth_it_are_closed_at_the_end(kept: Kept) -> None:
    noise = np.frombuffer(np.random.default_rng(1).bytes(700_000), np.uint8)
    for size in (700_000, 300_000, 100_000):
        kept.set("x", noise[:size])
        assert len(kept.update()["x"]) == size
    assert kept.file.path.stat().st_size > 700_000
    assert kept.update(compact=True)["x"] == noise[:100_000].tolist()
    assert kept.file.path.stat().st_size < 150_000
    assert list(kept.file.path.parent.iterdir()) == [kept.file.path]


@pytest.mark.parametrize("more", [0, 1])
def test_holes_are_closed_where_they_are_larger_than_what_is_worth_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    for size in (700_000, 100_000):
        kept.set("x", np.random.default_rng(1).bytes(size))
        kept.file.update(kept.state)
    assert kept.file._lost > 500_000
    before, limit = kept.file.path.stat().st_size, kept.file._lost - more
    monkeypatch.setattr(module, "_worth_compacting", lambda *_: limit)
    kept.file.update(kept.state)
    assert (kept.file.path.stat().st_size < before) == bool(more)


@pytest.mark.parametrize(
    ("size", "final", "least"),
    [
        (0, True, 2**16),
        (10 * 2**16 + 10, True, 2**16 + 1),
        (0, False, 2**20),
        (2**21 + 2, False, 2**20 + 1),
    ],
)
def test_holes_are_worth_it_from_a_part_of_the_file_on(size: int, final: bool, least: int) -> None:
    assert module._worth_compacting(size, final) == least


def test_what_is_written_at_once_is_not_refreshed_meanwhile(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    meanwhile: set[str] = set()

    class Noted(dict[str, Any]):
        def items(self) -> Any:
            meanwhile.update(thread.name for thread in set(threading.enumerate()) - before)
            return super().items()

    write_results(tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0), Noted(x=1))
    assert meanwhile == {"rexec-journal-sync"}


def test_a_whole_file_is_written_at_once_and_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path, identity = tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0)
    assert write_results(path, identity, {"x": [1.0], "y": 2}, {"z": 3}, plot=("x", ["y"])) == path
    with pytest.raises(ResultsNotWritable, match="exists already"):
        write_results(path, identity, {"x": 2})
    with results.open(path) as run:
        assert (run["x"], run.archive["z"].value, run.default_plot) == ([1.0], 3, ("x", ["y"]))
    write_results(path, identity, {"x": 2}, overwrite=True)
    with results.open(path) as run:
        assert (dict(run), dict(run.archive), run.default_plot) == ({"x": 2}, {}, None)


def ours(kept: Kept) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is under `/rexec`: attributes, but those of the moment, and datasets."""
    kept.file.update(kept.state)
    with h5py.File(kept.file.path) as file:
        attributes = dict(file["rexec"].attrs)
        assert attributes.pop("written") > 1e9
        assert attributes.pop("version")
        found: dict[str, Any] = {}

        def note(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                found[name] = node.asstr()[()] if h5py.check_string_dtype(node.dtype) else node[()]

        file["rexec"].visititems(note)
    return attributes, found


def at_root(kept: Kept) -> dict[str, Any]:
    with h5py.File(kept.file.path) as file:
        return {
            name: node.asstr()[()] if h5py.check_string_dtype(node.dtype) else node[()].item()
            for name, node in file.items()
            if isinstance(node, h5py.Dataset)
        } | {f"@{name}": bool(value) for name, value in file.attrs.items()}


def test_who_a_run_is_stands_at_the_root_and_the_rest_of_it_below_rexec(kept: Kept) -> None:
    kept.apply(Record(Kind.SET, "x", 7.5, 1, {}))
    attributes, found = ours(kept)
    plain = {"layout": 1, "journal": b"i" * 16, "records": 2, "journal_size": 0, "last_change": 7.5}
    plain |= {"status": "running"}
    assert attributes == plain | {"journal": (b"i" * 16).hex()}
    assert found == {}
    assert at_root(kept) == {"rid": 5, "artiq_version": "", "expid": "{}"}
    identity = {
        "rid": 6,
        "start_time": 1.5,
        "run_time": 2,
        "artiq_version": "9",
        "expid": {"a": [1]},
        "simulated": ["camera"],
        "class_name": "A",
        "number": 3,
        "fraction": 0.5,
        "list": [1],
        "nothing": None,
        "empty": {},
        "sources": {"d1": "def f(): pass", "d2": ""},
        "person": "\0é\ud800" + "x" * 2000,
        "person_known_by": "login",
        "machine": "lab",
        "program": 5,
    }
    kept.apply(Record(Kind.IDENTITY, value=identity))
    kept.state.size = 99
    attributes, found = ours(kept)
    who = {"person": "é?" + "x" * 997, "person_known_by": "login", "machine": "lab"}
    assert attributes == plain | who | {"journal": (b"i" * 16).hex(), "records": 3, "journal_size": 99}
    assert {
        name: found[name] for name in ("class_name", "number", "fraction", "list", "simulated", "program")
    } == {
        "class_name": "A",
        "number": 3,
        "fraction": 0.5,
        "list": "[1]",
        "simulated": '["camera"]',
        "program": 5,
    }
    assert {name for name in found if name not in identity} == {"sources/d1", "sources/d2"}
    assert found["sources/d1"] == "def f(): pass"
    assert {"nothing", "empty", "rid", "start_time", "expid"} & found.keys() == set()
    root = at_root(kept)
    assert pyon_of(root.pop("expid")) == {"a": [1]}
    assert root == {
        "rid": 6,
        "start_time": 1.5,
        "run_time": 2.0,
        "artiq_version": "9",
        "@simulated": True,
    }


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ({"status": "completed", "error": None}, "completed", None),
        ({"status": "failed", "error": "odd"}, "failed", "odd"),
        ({"status": "failed", "error": ""}, "failed", None),
        ({"error": "odd"}, "ended", "odd"),
    ],
)
def test_how_a_run_ended_is_in_its_file(
    kept: Kept, end: dict[str, Any], status: str, error: str | None
) -> None:
    kept.state.end = end
    attributes, found = ours(kept)
    assert (attributes["status"], found.get("error")) == (status, error)


def test_what_is_wrong_is_said_as_long_as_it_is(kept: Kept) -> None:
    kept.state.degraded = {"no clock": None, "late": None}
    kept.state.problems = ["one", "two"]
    _, found = ours(kept)
    assert found == {"degraded": "no clock\nlate", "problems": "one\ntwo"}
    kept.state.degraded = {"late": None}
    kept.state.problems = []
    assert ours(kept)[1] == {"degraded": "late"}


def test_between_which_moments_changes_were_missed_is_in_the_file(kept: Kept) -> None:
    compared = [{"time": 5.0, "lost": None}, {"time": 9.0, "lost": 7.0}]
    kept.state.notes["comparisons"] = compared[:1]
    assert ours(kept)[1].keys() == {"comparisons"}
    kept.state.notes["comparisons"] = compared
    _, found = ours(kept)
    assert pyon_of(found["comparisons"]) == compared
    assert found["gaps"].tolist() == [[7.0, 9.0]]


def test_a_fact_that_has_not_changed_is_not_written_again(kept: Kept) -> None:
    names = ("text", "number", "sources/d", "other")

    def places() -> dict[str, int]:
        with h5py.File(kept.file.path) as file:
            return {name: h5py.h5o.get_info(file[f"rexec/{name}"].id).addr for name in names}

    kept.apply(Record(Kind.IDENTITY, value={"text": "a", "number": 1, "sources": {"d": "e"}, "other": "a"}))
    ours(kept)
    before = places()
    kept.apply(Record(Kind.IDENTITY, value={"other": 5}))
    _, found = ours(kept)
    after = places()
    assert found == {"text": "a", "number": 1, "sources/d": "e", "other": 5}
    assert [name for name in names if before[name] != after[name]] == ["other"]
    kept.apply(Record(Kind.IDENTITY, value={"other": "five"}))
    assert ours(kept)[1]["other"] == "five"


NOISE = np.random.default_rng(1).bytes(2**20)


@pytest.mark.parametrize(
    "record",
    [
        Record(Kind.SET, "x", value=NOISE, metadata={}),
        Record(Kind.ARCHIVE, "x", value=NOISE, metadata={}),
        Record(Kind.IDENTITY, value={"text": "é" * 2**19}),
        Record(Kind.NOTE, "degraded", value={"text": "é" * 2**19, "holds": True}),
    ],
    ids=lambda record: record.kind.name,
)
def test_room_is_kept_for_all_that_will_be_written(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    kept.update()
    before = kept.file.path.stat().st_size
    kept_for: list[int] = []
    monkeypatch.setattr(module, "reserve", lambda _, size: kept_for.append(size))
    kept.apply(record)
    kept.update()
    (size,) = kept_for
    assert before + 2**20 < kept.file.path.stat().st_size <= size


def test_each_whole_update_begins_an_epoch(kept: Kept) -> None:
    kept.set("a", 1)
    kept.update()
    assert kept.state.epoch == 1
    kept.set("a", 2)
    kept.set("b", 3)
    kept.file.update(kept.state, only=["a"])
    assert kept.state.epoch == 1
    assert kept.update() == {"a": 2, "b": 3}
    assert kept.state.epoch == 2

"""The journal, the degraded states and the result file of a run are used by any thread."""

import itertools
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec.results import ResultsError, ResultsWriter
from rexec.results.degraded import DegradedStates
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from schemas import RunIdentity
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

WRITER = ("results/journal/writer.py",)
JOURNAL = (*WRITER, "results/journal/_record_file.py")
DEGRADED = ("rexec/results/degraded.py",)
REFRESHER = ("rexec/results/refresher.py",)
_numbers = itertools.count()


def begun(folder: Path) -> Journal:
    journal = Journal(folder / f"{next(_numbers)}.journal", sync_interval=0)
    journal.append("known", 1.0)
    return journal


def records(journal: Journal) -> Any:
    """Return what a reader finds in the closed journal."""
    journal.close()
    with JournalReader(journal.path) as reader:
        found = [(record.kind, record.key, record.value) for record in reader.records()]
        assert reader.damage is None
    return found


def state(journal: Journal) -> Any:
    size, position, synced, is_whole = journal.size, journal.position, journal.synced, journal.is_whole
    return size, position, synced, is_whole, records(journal)


def put(key: str) -> Any:
    return lambda journal: journal.put(Record(Kind.SET, key, 1.0, [1]))


def in_time(journal: Journal) -> bool:
    try:
        journal.append("known", 2.0)
    except ResultsError:
        return False
    return True


JOURNALS: dict[str, tuple[Any, Any, Any]] = {
    "two appends": (lambda j: j.append("known", 2.0), lambda j: j.append("new", 3.0), JOURNAL),
    "two new names": (put("a"), put("b"), WRITER),
    "an append and its size": (lambda j: j.append("known", "x" * 30), lambda j: j.size, JOURNAL),
    "an append and its position": (lambda j: j.append("new", "x"), lambda j: j.position, JOURNAL),
    "a new value and a sync": (put("known"), lambda j: j.sync(), WRITER),
    "a new value and what is kept": (put("known"), lambda j: j.keep_all(), WRITER),
    "two syncs": (lambda j: j.sync(), lambda j: j.sync(), WRITER),
    "an append and the end": (in_time, lambda j: j.close(), WRITER),
    "a sync and the end": (lambda j: j.sync(), lambda j: j.close(), WRITER),
    "a healing and the end": (lambda j: j.heal(), lambda j: j.close(), WRITER),
    "two ends": (lambda j: j.close(), lambda j: j.close(), WRITER),
    "two removals": (lambda j: j.remove(), lambda j: j.remove(), WRITER),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_journal_holds_what_one_thread_after_the_other_has_written(tmp_path: Path, name: str) -> None:
    first, second, files = JOURNALS[name]
    seen = {"an append and the end": records, "two removals": lambda j: j.path.exists()}.get(
        name, ended if "end" in name else state
    )
    Race(lambda: begun(tmp_path), first, second, seen, files).check()


def ended(journal: Journal) -> Any:
    return journal.synced, records(journal)


class Degraded:
    """The states of a run whose journal is open."""

    def __init__(self, folder: Path) -> None:
        self.states, self.journal = DegradedStates(), begun(folder)
        self.states.keep_in(self.journal)

    def seen(self) -> Any:
        kept = [value for kind, _, value in records(self.journal) if kind == Kind.NOTE]
        return sorted(self.states), self.states.is_unkept, sorted(map(str, kept))


def unkept(folder: Path) -> Degraded:
    degraded = Degraded(folder)
    degraded.states.add("x", unkept=True)
    return degraded


STATES: dict[str, tuple[Any, Any, Any]] = {
    "the same twice": (Degraded, lambda d: d.states.add("x"), lambda d: d.states.add("x")),
    "two states": (Degraded, lambda d: d.states.add("x"), lambda d: d.states.add("y")),
    "one that is gone": (unkept, lambda d: d.states.remove("x"), lambda d: d.states.add("y")),
    "one that is gone twice": (unkept, lambda d: d.states.remove("x"), lambda d: d.states.remove("x")),
    "a list of them": (unkept, lambda d: list(d.states), lambda d: d.states.add("y")),
    "whether all was kept": (unkept, lambda d: d.states.is_unkept, lambda d: d.states.add("y")),
    "a journal": (
        unkept,
        lambda d: d.states.keep_in(d.journal),
        lambda d: d.states.add("y", unkept=True),
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_each_degraded_state_is_kept_once(tmp_path: Path, name: str) -> None:
    make, first, second = STATES[name]
    Race(lambda: make(tmp_path), first, second, Degraded.seen, DEGRADED).check()


def test_states_that_a_full_disk_refused_are_kept_once(tmp_path: Path) -> None:
    def make() -> Degraded:
        degraded = Degraded(tmp_path)
        degraded.states._waiting.append({"text": "x", "holds": True})
        return degraded

    def settle(degraded: Degraded) -> None:
        degraded.states.settle()

    Race(make, settle, settle, Degraded.seen, DEGRADED).check()
    Race(make, settle, lambda d: d.states.keep_in(d.journal), Degraded.seen, DEGRADED).check()


def test_an_interrupted_state_is_kept_when_it_is_added_again(tmp_path: Path) -> None:
    def check(degraded: Degraded, raised: bool, where: str) -> None:
        degraded.states.add("x")
        states, _, kept = degraded.seen()
        assert states == ["x"], where
        assert set(kept) == {"{'text': 'x', 'holds': True}"}, where

    interrupted_everywhere(
        lambda: Degraded(tmp_path), lambda degraded: degraded.states.add("x"), check, DEGRADED
    )


class Run:
    """A run with one dataset that its file has, and one that is new."""

    def __init__(self, folder: Path) -> None:
        identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
        path = folder / f"{next(_numbers)}.h5"
        self.writer = ResultsWriter.create(path, identity, refresh_interval=0, sync_interval=0)
        self.append(1.0)

    def append(self, value: float) -> None:
        self.writer.set("x", [value], {}, broadcast=False, persist=False, archive=True, origin="run")

    def seen(self) -> Any:
        self.writer.close()
        with h5py.File(self.writer.path) as file:
            return file["datasets/x"][()].tolist(), file["rexec"].attrs["status"]


FILES: dict[str, tuple[Any, Any]] = {
    "two refreshes": (lambda run: run.writer.snapshot(), lambda run: run.writer.snapshot()),
    "a refresh and a change": (lambda run: run.writer.snapshot(), lambda run: run.append(2.0)),
    "a refresh and the end": (
        lambda run: run.writer.snapshot() and None,
        lambda run: run.writer.close() and None,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_file_of_a_run_is_refreshed_by_any_thread(tmp_path: Path, name: str) -> None:
    Race(lambda: Run(tmp_path), *FILES[name], Run.seen, REFRESHER, every=7).check()

"""The journal, the degraded states and the result file of a run are used by any thread."""

import itertools
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from rexec.ground.child import ChildLost
from rexec.results import ResultsError, ResultsWriter
from rexec.results.degraded import DegradedStates
from rexec.results.journal._record_file import RecordFile
from rexec.results.journal._reuse import ReusingWriter
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.refresher import Refresher
from schemas import RunIdentity
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

WRITER = ("results/journal/writer.py",)
JOURNAL = (*WRITER, "results/journal/_record_file.py")
DEGRADED = ("rexec/results/degraded.py",)
REFRESHER = ("rexec/results/refresher.py",)
HERE = "tests/results/test_threads.py"
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
    "an appender and a new name": (lambda j: j.appender("a", []) and None, put("b"), WRITER),
    "an append and its size": (lambda j: j.append("known", "x" * 30), lambda j: j.size, JOURNAL),
    "an append and its position": (lambda j: j.append("new", "x"), lambda j: j.position, JOURNAL),
    "a new value and a sync": (put("known"), lambda j: j.sync(), WRITER),
    "a new value and what is kept": (put("known"), lambda j: j.keep_all(), WRITER),
    "two syncs": (lambda j: j.sync(), lambda j: j.sync(), WRITER),
    "an append and the end": (in_time, lambda j: j.close(), WRITER),
    "a sync and the end": (lambda j: j.sync(), lambda j: j.close(), WRITER),
    "a healing and the end": (lambda j: j.heal(), lambda j: j.close(), WRITER),
    "whether it is whole, and the end": (lambda j: j.is_whole, lambda j: j.close(), JOURNAL),
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


class Appending:
    """A list to which an appender appends until it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.journal = begun(folder)
        self.items: list[Any] = []
        self.appender = self.journal.appender("known", self.items)

    def stop(self) -> None:
        self.appender.stop()
        self.items.append("by another way")


APPENDER = ("results/journal/_appender.py",)


def test_what_was_appended_is_there_when_the_appender_is_stopped(tmp_path: Path) -> None:
    Race(
        lambda: Appending(tmp_path),
        lambda each: each.appender.append(2.0),
        Appending.stop,
        lambda each: (each.items, records(each.journal)),
        APPENDER,
    ).check()


def test_two_threads_append_by_one_appender(tmp_path: Path) -> None:
    Race(
        lambda: Appending(tmp_path),
        lambda each: each.appender.append(2.0),
        lambda each: each.appender.append(3.0),
        lambda each: (each.items, [value for _, _, value in records(each.journal)]),
        APPENDER,
    ).check()


ENDS = {"heal", "close", "remove"}
GUARDED = {
    RecordFile: ("settle", *ENDS),
    ReusingWriter: ("write", "keep_all", "sync_begins", "synced"),
}


@pytest.mark.parametrize("end", ["close", "remove"])
def test_the_parts_of_a_journal_are_called_under_its_locks(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`settle` cuts off what a thread writes, an end closes what one syncs, and a place may be given back twice."""
    journal, called = begun(tmp_path), set()

    def guarded(name: str, method: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            if self in (journal.file, journal._changes):  # a journal of another test may still be synced
                assert journal.lock._is_owned(), name  # type: ignore[attr-defined]
                assert name not in ENDS or journal._sync_lock.locked(), name
                called.add(name)
            return method(self, *args)

        return call

    for owner, names in GUARDED.items():
        for name in names:
            monkeypatch.setattr(owner, name, guarded(name, getattr(owner, name)))
    put("known")(journal)
    assert journal.size > journal.position > 0
    journal.sync()
    journal.keep_all()
    journal.heal()
    getattr(journal, end)()
    assert called | ENDS == {name for names in GUARDED.values() for name in names}
    assert end in called


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


def test_a_file_is_refreshed_while_another_thread_changes_data(tmp_path: Path) -> None:
    Race(
        lambda: Run(tmp_path),
        lambda run: run.writer.snapshot(),
        lambda run: run.append(2.0),
        Run.seen,
        REFRESHER,
        every=7,
    ).check()


class Kept:
    """A refresher whose keeper notes what is asked of it, and refuses two threads at a time."""

    claim = written = 0
    shown, problems = True, ()

    def __init__(self, folder: Path) -> None:
        self.path, self.size, self.asked, self.is_asked = folder, 1, Counter[str](), False
        me: Any = self
        self.refresher = Refresher(folder / "x.h5", me, DegradedStates(), interval=0)
        turns = iter((False, True))
        self.refresher._is_over = lambda *_: next(turns)  # type: ignore[method-assign]

    def heal(self) -> None: ...

    def bring_up_to(self, size: int) -> None:
        self._ask(f"refresh {size}")

    def finish(self, size: int, end: Any) -> None:
        self._ask(f"finish {size}")

    def close(self) -> None:
        self._ask("close")

    def _ask(self, what: str) -> None:
        assert not self.is_asked, "two threads at a time"
        self.is_asked = True
        self.asked[what] += 1
        self.is_asked = False


class Lost:
    """A refresher whose process may be lost."""

    def __init__(self, folder: Path) -> None:
        self.kept = Kept(folder)
        child: Any = SimpleNamespace(pid=7, close=lambda: None)
        self.kept.refresher._child = child

    def lose(self) -> None:
        self.kept.refresher._lose(ChildLost("it is gone"))


def test_the_number_of_a_process_is_asked_for_while_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Refresher, "_new_keeper", lambda refresher: refresher._journal)
    Race(
        lambda: Lost(tmp_path),
        lambda lost: lost.kept.refresher.process,
        Lost.lose,
        lambda lost: lost.kept.refresher.process,
        REFRESHER,
    ).check()


KEPT: dict[str, tuple[Any, Any]] = {
    "two refreshes": (lambda kept: kept.refresher.refresh(), lambda kept: kept.refresher.refresh()),
    "a regular refresh and another": (
        lambda kept: kept.refresher._refresh_regularly(),
        lambda kept: kept.refresher.refresh(),
    ),
    "a refresh and the end": (lambda kept: kept.refresher.refresh(), lambda kept: kept.refresher.finish({})),
    "the end, twice": (lambda kept: kept.refresher.finish({}), lambda kept: kept.refresher.close()),
}


@pytest.mark.parametrize("name", KEPT)
def test_one_thread_at_a_time_keeps_the_file_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Refresher, "_new_keeper", lambda refresher: refresher._journal)
    Race(
        lambda: Kept(tmp_path), *KEPT[name], lambda kept: sorted(kept.asked.items()), (*REFRESHER, HERE)
    ).check()

"""What the writer of a journal tells: times, positions, what is synced, what could not be kept."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.results.errors import ResultsError
from rexec.results.journal import writer
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, Kind, Record
from rexec.results.journal.writer import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Any]:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        yield journal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; the last item is that of now."""
    times = [1000.0]
    monkeypatch.setattr(writer, "wall_clock", lambda: times[-1])
    return times


def records(journal: Journal) -> list[Record]:
    with JournalReader(journal.path) as reader:
        return list(reader.records())


def set_to(key: str, value: Any, time: float = 0.0, **others: Any) -> Record:
    return Record(Kind.SET, key, time, value, {}, **others)


def test_a_record_has_the_time_that_it_was_given_or_that_of_now(journal: Any, clock: list[float]) -> None:
    journal.put(set_to("x", [], 500.0))
    journal.put(set_to("x", []))
    for moment in (1000.5, 1001.0):
        clock.append(moment)
        journal.append("x", 1.0)
    journal.append("x", 2.0, origin="client")
    journal.append("x", "text")
    found = records(journal)
    assert [each.time for each in found] == pytest.approx([500.0, 1000.0, 1000.5, 1001.0, 1001.0, 1001.0])
    assert [each.origin for each in found[2:]] == ["run", "run", "client", "run"]
    assert [each.archive for each in found[4:]] == [False, False]


def test_after_an_interrupt_no_time_is_counted_from_a_record_that_may_not_be_there(
    journal: Any, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.put(set_to("x", []))
    real = journal._changes.write

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    clock.append(2000.0)
    with monkeypatch.context() as patch:
        patch.setattr(journal._changes, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.put(set_to("y", 1))
    clock.append(2001.0)
    journal.append("x", 1.0)
    assert [each.time for each in records(journal)] == pytest.approx([1000.0, 2000.0, 2001.0])


def test_the_position_moves_by_the_bytes_of_changes_only(journal: Any) -> None:
    start = journal.position
    journal.put(Record(Kind.NOTE, "storage", value={}))
    journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
    assert journal.position == start
    beside = journal.size - start
    journal.put(set_to("x", [1.0]))
    first, size = journal.position, journal.size
    assert start < first < size - beside  # the record of its name is no change, either
    journal.put(Record(Kind.ARCHIVE, "x", value=1, metadata={}))
    journal.append("x", 2.0)
    assert journal.position - first == journal.size - size
    assert journal.written == journal.size


@pytest.mark.parametrize("end", ["close", "remove", "disown"])
def test_what_took_the_place_of_superseded_values_was_written_too(journal: Any, end: str) -> None:
    for number in range(10):
        journal.put(set_to("x", np.full(1000, number)))
    assert journal.size < 10 * 8000 < journal.written < 10 * 8200
    assert journal._changes._descriptor >= 0
    getattr(journal, end)()
    assert journal._changes._descriptor == -1


@pytest.mark.parametrize("synced", [False, True])
def test_a_failed_sync_tells_how_much_is_safe(
    journal: Any, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    asked: list[Any] = []

    def sync(*arguments: Any, **options: Any) -> None:
        asked.append((arguments, options))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer, "sync_descriptor", sync)
    safe = 0
    if synced:
        journal.put(set_to("x", 1))
        for _ in range(2):
            journal.sync()
        assert asked == [((journal.claim,), {"data_only": True})]  # there is nothing new the second time
        safe = journal.size
    assert journal.synced == safe
    journal.put(set_to("y", 1))
    monkeypatch.setattr(writer, "sync_descriptor", fail)
    for _ in range(2):
        with pytest.raises(ResultsError, match=rf"up to the last sync \({safe} bytes\) are safe"):
            journal.sync()
    with pytest.raises(ResultsError, match="Input/output error"):
        journal.put(set_to("z", 1))
    assert journal.synced == safe
    assert not journal.is_whole


def test_what_is_superseded_by_something_synced_gives_its_bytes_back(journal: Any) -> None:
    journal.put(set_to("x", np.zeros(1000)))
    journal.sync()
    journal.put(set_to("x", np.ones(1000)))
    journal.put(set_to("a", np.ones(900)))
    assert journal.written == journal.size  # a loss of power would bring the first one back
    journal.sync()
    journal.put(set_to("b", np.ones(900)))
    assert journal.written == journal.size  # that it is superseded is not on the disk yet
    journal.sync()
    journal.put(set_to("c", np.ones(900)))
    assert journal.written > journal.size


def test_only_one_timer_syncs_and_it_keeps_no_process_alive(tmp_path: Path, journal: Any) -> None:
    assert not journal._timer.is_alive()
    with contextlib.closing(Journal(tmp_path / "k", sync_interval=600.0)) as timed:
        assert (timed._timer.name, timed._timer.daemon) == ("rexec-journal-sync", True)
        assert timed._timer.is_alive()
    assert not timed._timer.is_alive()


class Hung:
    """A timer whose sync takes for ever."""

    def __init__(self) -> None:
        self.patience: list[float | None] = []

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        self.patience.append(timeout)


@pytest.mark.parametrize("end", ["close", "remove"])
def test_a_sync_that_hangs_holds_up_the_end_for_half_a_minute_at_most(journal: Any, end: str) -> None:
    journal._timer = Hung()
    getattr(journal, end)()
    assert journal._timer.patience == [30.0]
    assert journal._stop.is_set()
    getattr(journal, end)()
    assert (journal.claim, journal.path.exists()) == (-1, end == "close")


def test_a_disk_that_fails_at_the_end_is_told_and_the_claim_is_given_up(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.put(set_to("x", 1))
    with monkeypatch.context() as patch:
        patch.setattr("rexec.results.journal._record_file.sync_descriptor", _fail)
        with pytest.raises(ResultsError, match=r"the disk failed to keep .*j: Input/output error"):
            journal.close()
    assert (journal.claim, journal.synced) == (-1, 0)


def _fail(*_: Any, **__: Any) -> None:
    raise OSError(5, "Input/output error")


def test_a_journal_that_was_closed_is_on_the_disk(journal: Any) -> None:
    journal.put(set_to("x", 1))
    journal.close()
    assert journal.synced == journal.path.stat().st_size > HEADER.size


def turns(journal: Any, *steps: Callable[[], None]) -> list[float]:
    """Let the timer come so often; return how long it was waited for."""
    left, waited = iter(steps), []

    class Stop:
        def wait(self, seconds: float) -> bool:
            waited.append(seconds)
            step = next(left, None)
            if step is not None:
                step()
            return step is None

        def set(self) -> None:
            pass

    journal._stop = Stop()
    journal._sync_regularly(0.5)
    return waited


def test_the_timer_syncs_and_tells_each_failure_once(
    journal: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter(["odd", "odd", "odd", "other", None, "last"])

    def sync() -> None:
        failure = next(failures)
        if failure == "last":
            journal.file.failure = failure
        if failure is not None:
            raise ResultsError(failure)

    monkeypatch.setattr(journal, "sync", sync)
    nothing = [lambda: None] * 9
    assert turns(journal, *nothing) == [0.5] * 6
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.ERROR, "odd; trying again"),
        (logging.ERROR, "other; trying again"),
        (logging.ERROR, "last; no further change can be kept"),
    ]
    journal.file.failure = None


def test_the_timer_stops_when_it_is_told_to(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[None] = []
    monkeypatch.setattr(journal, "sync", lambda: synced.append(None))
    assert turns(journal, lambda: None, lambda: None) == [0.5] * 3
    assert len(synced) == 2


class Odd:
    """A value of which only the text is kept."""


def test_that_only_a_text_is_kept_is_told_once_for_each_dataset(
    journal: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    journal.put(Record(Kind.NOTE, "x", value=Odd()))
    journal.put(set_to("x", [1.0]))
    for _ in range(2):
        journal.put(set_to("x", [1.0, Odd()]))
    journal.append("y", Odd())
    journal.put(Record(Kind.MUTATE, "z", value=Odd(), index=0))
    told = [each.getMessage() for each in caplog.records]
    assert [each.partition(", or of what is in it, only the text is kept")[0] for each in told] == [
        "dataset x: of a value of type list",
        "dataset y: of a value of type Odd",
        "dataset z: of a value of type Odd",
    ]


def test_what_was_healed_is_told_to_the_run_before_the_log(
    journal: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    journal.on_healed = lambda text: told.append((text, len(caplog.records)))
    happened = iter(["", "it is written anew", "it is written anew"])
    monkeypatch.setattr(journal.file, "heal", lambda: next(happened))
    journal.heal()
    assert told == []
    journal.heal()
    journal.put(set_to("x", 1))
    journal.sync()
    assert told == [("it is written anew", 0), ("it is written anew", 1)]
    assert [each.getMessage() for each in caplog.records] == ["it is written anew"] * 2


def test_a_journal_that_was_cut_is_lost(journal: Any) -> None:
    journal.put(set_to("x", 1))
    os.ftruncate(journal.claim, HEADER.size)
    with pytest.raises(ResultsError, match=r"j was cut by another program: what was in it is lost"):
        journal.heal()
    assert not journal.is_whole


def test_a_fork_of_the_run_has_free_locks_no_claim_and_may_change_nothing(journal: Any) -> None:
    claim = os.dup(journal.claim)
    before = journal.size
    lock = journal.lock
    with lock, journal._sync_lock:  # as another thread of the parent may have them
        journal.disown()
        assert lock._is_owned()
        assert not journal.lock._is_owned()
    assert not journal._sync_lock.locked()
    assert journal.claim == -1
    for change in (lambda: journal.put(set_to("x", 1)), lambda: journal.append("x", 1), journal.sync):
        with pytest.raises(ResultsError, match="belong to process"):
            change()
    assert os.fstat(claim).st_size == before
    os.close(claim)


def test_a_list_has_one_name_in_the_journal(journal: Any) -> None:
    items: list[Any] = []
    appender = journal.appender("x", items)
    size = journal.size
    again = journal.appender("x", items)
    assert journal.size == size  # its name is there already
    start = journal.append("x", 1.0)
    assert start == size
    assert appender.append(2.0)
    assert again.append(3.0)
    assert [(each.key, each.value) for each in records(journal)] == [("x", 1.0), ("x", 2.0), ("x", 3.0)]

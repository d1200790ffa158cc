"""When the file of a run is refreshed, on a clock that only this test moves, and what its process is told."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from rexec.ground.child import ChildLost
from rexec.results import refresher, verify
from rexec.results.degraded import DegradedStates
from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper
from rexec.results.refresher import EARLY_FROM, SILENCE, Refresher

END = {"status": "completed", "error": None, "time": 2.0}


class Clock:
    """A clock that only `pass_` moves: waiting does."""

    def __init__(self) -> None:
        self.now, self.cpu = 1000.0, 50.0

    def pass_(self, seconds: float, cpu: float = 0.0) -> None:
        self.now += seconds
        self.cpu += cpu

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.cpu

    def strftime(self, _: str) -> str:
        return "12:00:00"


class Stop:
    """A stop that comes during one of the waits."""

    def __init__(self, clock: Clock, on_wait: Callable[[int], None], comes_at: int = -1) -> None:
        self.clock, self.on_wait, self.comes_at = clock, on_wait, comes_at
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.clock.pass_(seconds)
        self.waits.append(seconds)
        self.on_wait(len(self.waits))
        return self.is_set()

    def is_set(self) -> bool:
        return len(self.waits) >= self.comes_at >= 0

    def set(self) -> None:
        self.comes_at = 0


class Process:
    """A process that keeps the file: it answers as it is told to."""

    pid = 77

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []
        self.patience: list[float] = []
        self.is_closed = False

    def send(self, line: bytes) -> None:
        self.heard.append(line.decode())

    def receive(self, timeout: float) -> bytes:
        self.patience.append(timeout)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()

    def close(self) -> None:
        self.is_closed = True


def answer(order: int, error: str | None = None, **others: Any) -> dict[str, Any]:
    return {"order": order, "error": error, "damaged": False, "shown": True, "problems": []} | others


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refresher, "time", clock)
    return clock


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        yield journal


@pytest.fixture
def kept(journal: Journal, tmp_path: Path) -> Iterator[Any]:
    """The refresher under test; it starts no thread."""
    kept = Refresher(tmp_path / "r.h5", journal, DegradedStates(), interval=2.0, process_from=1000)
    with contextlib.closing(kept):
        yield kept


@pytest.mark.parametrize(
    ("pause", "rest", "written", "comes_at", "waits", "is_over"),
    [
        pytest.param(0.625, 0.0, [0], -1, [0.25, 0.25, 0.125], False, id="little is written"),
        pytest.param(0.75, 0.0, [0, 0, EARLY_FROM - 1], -1, [0.25] * 3, False, id="not much"),
        pytest.param(9.0, 0.0, [0, 0, EARLY_FROM], -1, [0.25] * 2, False, id="much after a while"),
        pytest.param(9.0, 0.5, [EARLY_FROM], -1, [0.25] * 2, False, id="much at once, but it rests"),
        pytest.param(9.0, 0.0, [0], 3, [0.25] * 3, True, id="stopped"),
        pytest.param(0.0, 0.0, [EARLY_FROM], -1, [], False, id="due at once"),
        pytest.param(0.0, 0.0, [0], 0, [], True, id="stopped before"),
    ],
)
def test_the_next_refresh_is_due_after_its_pause_or_when_much_was_written(
    kept: Any,
    clock: Clock,
    pause: float,
    rest: float,
    written: list[int],
    comes_at: int,
    waits: list[float],
    is_over: bool,
) -> None:
    before = 10**9
    of_run, kept._journal = kept._journal, SimpleNamespace(written=before + written[0])

    def on_wait(number: int) -> None:
        kept._journal.written = before + written[min(number, len(written) - 1)]

    kept._stop = Stop(clock, on_wait, comes_at)
    assert kept._is_over(pause, rest, before) == is_over
    assert kept._stop.waits == waits
    kept._journal = of_run


def test_the_run_itself_takes_a_tenth_of_its_time_a_process_half_of_its_own(kept: Any) -> None:
    assert kept._pauses(5.0, 0.125) == (2.0, 2.0)
    assert kept._pauses(5.0, 1.0) == (9.0, 9.0)
    kept._child = Process()
    assert kept._pauses(0.5, 1.0) == (1.5, 0.5)
    assert kept._pauses(3.0, 1.0) == (3.0, 3.0)


class Regular:
    """The regular refreshes of a refresher, whose steps are given: what happens before each, and how it goes."""

    def __init__(self, kept: Any, clock: Clock) -> None:
        self.kept, self.clock = kept, clock
        self.journal = SimpleNamespace(size=100, written=100, heal=self.heal)
        self.said: list[Any] = []
        self.error: ResultsError | None = None

    def heal(self) -> None:
        self.said.append("heal")

    def run(self, *steps: Callable[[], None]) -> list[Any]:
        """Return what was done, and how long was waited before each time."""
        before, left = self.kept._journal, iter(steps)

        def is_over(*asked: Any) -> bool:
            self.said.append(asked)
            step = next(left, None)
            if step is not None:
                step()
            return step is None

        def bring_up_to(size: int) -> None:
            self.said.append(size)
            self.clock.pass_(0.5, 0.25)
            if self.error is not None:
                raise self.error

        def start_process() -> None:
            self.said.append("process")
            self.clock.pass_(100.0, 100.0)
            self.kept._process_from, self.kept._child = None, Process()

        self.kept._is_over, self.kept._bring_up_to = is_over, bring_up_to
        self.kept._start_process, self.kept._journal = start_process, self.journal
        self.kept._refresh_regularly()
        self.kept._journal = before
        return self.said

    def grow(self, count: int = 10) -> None:
        self.journal.size += count
        self.journal.written += count

    def nothing(self) -> None:
        pass

    def fail(self) -> None:
        self.error = ResultsError("no room")

    def succeed(self) -> None:
        self.error = None


def test_what_has_not_grown_is_not_refreshed(kept: Any, clock: Clock) -> None:
    kept._process_from = None
    regular = Regular(kept, clock)
    assert regular.run(regular.nothing, regular.nothing, regular.grow) == [
        *((2.0, 2.0, 0), "heal", 100),
        *((2.25, 2.25, 100), "heal"),
        *((2.25, 2.25, 100), "heal", 110),
        (2.25, 2.25, 110),
    ]


def test_a_process_is_started_once_much_is_written_between_two_refreshes(kept: Any, clock: Clock) -> None:
    kept._process_from = 1000
    regular = Regular(kept, clock)
    steps = [regular.nothing, lambda: regular.grow(999), lambda: regular.grow(1000), regular.grow]
    assert regular.run(*steps) == [
        *((2.0, 0.0, 0), "heal", 100),
        *((2.25, 2.25, 100), "heal", 1099),
        *((2.25, 2.25, 1099), "heal", "process", 2099),
        *((1.5, 0.5, 2099), "heal", 2109),  # its start is no part of what a refresh takes
        (1.5, 0.5, 2109),
    ]


def test_a_refresh_that_fails_is_said_until_one_succeeds_and_is_tried_although_nothing_has_grown(
    kept: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kept._process_from = None
    kept._child = Process()
    regular = Regular(kept, clock)
    states: list[list[str]] = []

    def look() -> None:
        states.append(list(kept._degraded))

    def look_and_succeed() -> None:
        look()
        regular.succeed()

    assert regular.run(regular.fail, look, look_and_succeed, look, look) == [
        *((2.0, 2.0, 0), "heal", 100),
        *((1.5, 1.5, 0), "heal", 100),  # it does not hurry, however much is written
        *((1.5, 1.5, 0), "heal", 100),
        *((1.5, 0.5, 100), "heal"),
        *((1.5, 0.5, 100), "heal"),
        (1.5, 0.5, 100),
    ]
    assert states == [["from 12:00:00 on the file was not refreshed: no room"]] * 2 + [[]] * 2
    assert [each.getMessage() for each in caplog.records] == [
        "no room; the journal has everything, trying again"
    ]


def test_a_failure_after_the_stop_is_for_the_end_of_the_run_to_say(
    kept: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kept._process_from = None
    regular = Regular(kept, clock)
    regular.fail()
    regular.run(kept._stop.set)
    assert (list(kept._degraded), caplog.records) == ([], [])


def with_process(kept: Any, *answers: Any) -> Process:
    process = Process(*answers)
    kept._keeper.close()
    kept._child, kept._keeper, kept._claim = process, None, kept._journal.claim
    return process


def test_the_process_is_asked_by_number_and_its_answers_to_earlier_orders_are_passed_over(
    kept: Any, journal: Journal
) -> None:
    assert not kept.process
    first, second = answer(1, shown=False, problems=["odd"]), answer(2)
    process = with_process(kept, first, first, second, second, second, answer(3), answer(4, shown=False))
    assert kept.process == 77
    kept.refresh()
    assert (kept.shown, kept.problems) == (False, ["odd"])
    journal.put(Record(Kind.SET, "x", value=1, metadata={}))
    kept.refresh()
    assert (kept.shown, kept.problems) == (True, [])
    kept.refresh()
    kept.finish(END)
    assert kept.shown  # once for all
    sizes = [line.split()[1] for line in process.heard]
    assert sizes[0] != sizes[1]
    assert process.heard == [
        f"1 {sizes[0]}",
        *(f"{number} {journal.size}" for number in (2, 3)),
        f"4 {journal.size} {json.dumps(END)}",
    ]
    assert set(process.patience) == {SILENCE}
    assert process.answers == []
    kept.close()
    assert (process.is_closed, kept.process) == (True, None)


@pytest.mark.parametrize(("damaged", "raised"), [(True, JournalDamaged), (False, ResultsError)])
def test_what_the_process_cannot_do_is_raised_and_it_is_asked_again(
    kept: Any, damaged: bool, raised: type[ResultsError]
) -> None:
    process = with_process(kept, answer(1, "no room", damaged=damaged), answer(2))
    with pytest.raises(ResultsError, match="no room") as caught:
        kept.refresh()
    assert type(caught.value) is raised
    kept.refresh()
    assert not process.is_closed


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_process_that_is_lost_costs_the_refreshes_but_not_the_file(
    kept: Any, journal: Journal, at_the_end: bool, caplog: pytest.LogCaptureFixture
) -> None:
    process = with_process(kept, ChildLost("it is gone"))
    (working := kept.path.with_name(".r.h5.working")).touch()
    said = "it is gone; the file is written at the end of the run, nothing is lost"
    if not at_the_end:
        for _ in range(2):
            with pytest.raises(ResultsError, match=r"was lost: it is written at the end"):
                kept.refresh()
        assert not working.exists()
        assert kept._stop.is_set()
    kept.finish(END)
    assert list(kept._degraded) == [said]
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [(logging.WARNING, said)]
    assert (process.is_closed, kept.process, len(process.heard)) == (True, None, 1)
    assert verify(kept.path) == []


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_process_with_the_claim_on_a_file_that_is_gone_is_asked_no_more(
    kept: Any, at_the_end: bool
) -> None:
    process = with_process(kept)
    kept._claim = kept._journal.claim + 1
    if not at_the_end:
        kept.refresh()
        assert (process.is_closed, kept.process) == (True, None)
    kept.finish(END)
    assert process.heard == []
    assert verify(kept.path) == []


def started(kept: Any, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[Process, list[Any]]:
    """Have a process started; return it, and how it was."""
    process, how = Process(*answers), []

    def start(*arguments: Any, **options: Any) -> Process:
        how.append((arguments, options))
        if not answers:
            raise ChildLost("there is none")
        return process

    monkeypatch.setattr(refresher, "Child", start)
    kept._order = 9
    kept._start_process()
    return process, how


@pytest.mark.parametrize(
    ("another", "shown", "replaces"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_a_process_that_is_ready_has_the_file(
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    another: bool,
    shown: bool,
    replaces: bool,
) -> None:
    if another:
        (tmp_path / "r.h5").write_text("of another run")
    kept: Any = Refresher(tmp_path / "r.h5", journal, DegradedStates(), interval=2.0)
    kept.shown = shown
    (working := tmp_path / ".r.h5.working").touch()
    reader = kept._keeper.reader
    process, how = started(kept, monkeypatch, answer(0, shown=shown), answer(1))
    arguments = (str(journal.path), str(tmp_path / "r.h5"), str(replaces))
    assert how == [
        (
            ("rexec.results._keeper_child", arguments),
            {"inherit": (journal.claim,), "purpose": "the process that keeps the result file"},
        )
    ]
    assert (reader.descriptor, working.exists(), kept._process_from) == (-1, False, None)
    kept.refresh()
    assert process.heard == [f"1 {journal.size}"]
    kept.close()


@pytest.mark.parametrize("answers", [[], [ChildLost("it is gone")], [answer(0, "no room")]])
def test_without_a_process_the_run_keeps_its_file(
    kept: Any, monkeypatch: pytest.MonkeyPatch, answers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    process, how = started(kept, monkeypatch, *answers)
    assert (len(how), process.is_closed, kept.process) == (1, bool(answers), None)
    (record,) = caplog.records
    assert record.getMessage().endswith("; the run keeps the file itself")
    kept.refresh()
    kept.finish(END)
    assert verify(kept.path) == []
    assert (list(kept._degraded), kept._process_from) == ([], None)  # nor is another one started


@pytest.mark.parametrize("interval", [0.0, 600.0])
def test_refreshes_are_regular_only_if_an_interval_is_given(
    journal: Journal, tmp_path: Path, interval: float
) -> None:
    kept = Refresher(tmp_path / "r.h5", journal, DegradedStates(), interval=interval, process_from=None)
    kept.start()
    assert kept._thread.is_alive() == (interval > 0)
    kept.close()
    assert not kept._thread.is_alive()
    kept.close()


def test_the_end_of_a_run_leaves_nothing_beside_the_file(kept: Any, tmp_path: Path) -> None:
    kept.refresh()
    kept.finish(END)
    for name in (".r.h5.working", ".r.h5.previous"):
        (tmp_path / name).touch()
    reader = kept._keeper.reader
    kept.close()
    assert reader.descriptor == -1
    assert sorted(os.listdir(tmp_path)) == ["j", "r.h5"]


def test_a_refresh_that_was_interrupted_is_done_again_from_the_first_record(
    kept: Any, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.put(Record(Kind.SET, "x", value=[1.0], metadata={}))
    keeper = kept._keeper
    with monkeypatch.context() as patch:
        patch.setattr(type(keeper), "_update", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept.refresh()
    assert kept._keeper is not keeper
    assert keeper.reader.descriptor == -1
    assert not kept.shown
    keeper = kept._keeper
    with monkeypatch.context() as patch:
        patch.setattr(type(keeper), "_update", _fails)
        with pytest.raises(ResultsError):
            kept.refresh()
    assert kept._keeper is keeper  # what it has read it has read
    kept.finish(END)
    assert kept.shown
    assert verify(kept.path) == []


def test_anothers_file_stays_until_there_are_data_and_is_then_this_runs(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.h5"
    path.write_text("of another run")
    with contextlib.closing(Refresher(path, journal, DegradedStates(), interval=0)) as kept:
        kept.refresh()
        assert (path.read_text(), kept.shown) == ("of another run", False)
        journal.put(Record(Kind.SET, "x", value=[1.0], metadata={}))
        kept.refresh()
        journal.put(Record(Kind.DELETE, "x"))
        with monkeypatch.context() as patch:
            patch.setattr(Keeper, "_update", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                kept.refresh()
        kept.refresh()
        with h5py.File(path) as file:
            assert list(file["datasets"]) == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _fails(*_: object) -> None:
    raise ResultsError("no room")

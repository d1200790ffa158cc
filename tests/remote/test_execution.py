"""A job on its controller: what it waits for, what it tells, and how it ends."""

import asyncio
import threading
import types
from collections.abc import AsyncIterator, Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import pytest

from rexec.remote.agent import execution
from rexec.remote.agent.driver_queue import DriverQueue
from rexec.remote.agent.execution import QUICK, Cancelled, Execution
from rexec.remote.agent.items import AHEAD, FEW, LARGE, MOST_AHEAD, Items, awaited, stacked
from rexec.remote.agent.output import LOCAL


class Clock:
    """Time that goes on only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float | None] = []
        self.do: list[Callable[[], None]] = []
        """What happens during the first waits."""

    def monotonic(self) -> float:
        return self.now

    def get(self, timeout: float | None = None) -> None:
        """Wait for something that comes after 0.5 s while there is something to do, and never otherwise."""
        self.waits.append(timeout)
        if self.do:
            self.now += 0.5
            self.do.pop(0)()
            return
        assert timeout is not None
        self.now += timeout
        raise Empty


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(execution, "time", types.SimpleNamespace(monotonic=clock.monotonic))
    return clock


def made(
    function: Any = None, queue: DriverQueue | None = None, clock: Clock | None = None, **further: Any
) -> Execution:
    """Return a job that runs beside others, or has a queue for its driver."""
    usual: dict[str, Any] = {
        "id": "1", "function": "f", "args": [], "kwargs": {}, "parallel": queue is None, "deadline": None,
        "start_at": None, "streams": False, "detached": False,
    }  # fmt: skip
    job = Execution(usual | further, function, queue or DriverQueue(), SimpleQueue(), {}, "alice")
    if clock is not None:
        job.wakeups = job.first_news = clock  # type: ignore[assignment]
    return job


def changes(job: Execution) -> list[Any]:
    """Return the jobs at which the dispatcher is to look, and forget them."""
    found = []
    while not job.inbox.empty():
        found.append(job.inbox.get())
    return found


def told(job: Execution) -> Callable[[], bool]:
    """Follow a job; the result tells whether there is news since it was asked last."""
    news: dict[str, Execution] = {}
    job.followers["a"] = news
    return lambda: news.pop("1", None) is job


def run(job: Execution) -> Any:
    """Run a job to its end on a thread of its own, as it does; return its outcome."""
    thread = threading.Thread(target=job.main, daemon=True)
    thread.start()
    thread.join(150)
    assert not thread.is_alive()
    return job.outcome


def test_a_job_begins_with_nothing_to_tell() -> None:
    job = made(max, detached=True, streams=True, args=[1], kwargs={"key": 2})
    assert (job.id, job.name, job.who, job.call) == ("1", "f", "alice: f", (max, [1], {"key": 2}))
    assert (job.detached, job.streams, job.deadline, job.start_at, job.queue) == (
        True,
        True,
        None,
        None,
        None,
    )
    flags = (job.awaited, job.abandoned, job.timed, job.forgotten, job.counted, job.cancelled)
    assert flags == (False,) * 6
    assert (job.reason, job.fault, job.verdict, job.ticket, job.thread, job.ended) == (
        "",
        "",
        {},
        None,
        None,
        0.0,
    )
    assert (job.followers, job.remaining()) == ({}, None)
    assert job.poll(0, 0) == {
        "state": "waiting", "progress": (0.0, ""), "events": [], "event_count": 0, "first_item": 0, "items": [],
        "outcome": None,
    }  # fmt: skip


def test_a_deadline_is_over_a_moment_later_and_the_first_reason_counts(clock: Clock) -> None:
    job = made(deadline=5.0)
    assert (job.deadline, job.remaining()) == (1005.0, 5.0)
    clock.now = 1005.0
    assert not job.cancelled
    job.check()
    clock.now = 1005.5
    assert job.remaining() == -0.5
    with pytest.raises(Cancelled, match="deadline"):
        job.check()
    job.end("cancelled")
    assert job.reason == "deadline"
    asked = made(deadline=5.0)
    asked.end("cancelled")
    clock.now = 1020.0
    with pytest.raises(Cancelled, match="cancelled"):
        asked.check()


def test_progress_is_told_and_ends_a_job_that_is_to_end() -> None:
    job = made()
    is_told = told(job)
    progress: Any = job.progress
    progress(1, 2)
    assert (job.fraction, is_told(), is_told()) == ((1.0, "2"), True, False)
    job.reason = "cancelled"
    with pytest.raises(Cancelled):
        job.progress(0.5)
    assert (job.fraction, is_told()) == ((0.5, ""), True)


def test_a_job_sleeps_to_the_end_whatever_wakes_it_unless_it_is_to_end(clock: Clock) -> None:
    job = made(clock=clock)
    job.sleep(2.0)
    assert (clock.waits, clock.now) == ([2.0], 1002.0)
    clock.do = [lambda: None]
    job.sleep(2.0)
    assert (clock.waits[1:], clock.now) == ([2.0, 1.5], 1004.0)
    job.sleep(0.0)
    job.sleep(-1.0)
    assert len(clock.waits) == 3
    clock.do = [lambda: job.end("cancelled")]
    job.wake = lambda: None  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        job.sleep(float("inf"))
    assert clock.waits[3:] == [threading.TIMEOUT_MAX]
    with pytest.raises(Cancelled):
        job.sleep(0.0)
    job.wait(lambda: 0.0, always=True)
    rest = iter([None, None, 0.0])
    clock.do = [lambda: None] * 2
    job.wait(lambda: next(rest), always=True)
    assert clock.waits[4:] == [None, None]


def test_a_job_has_the_driver_from_its_turn_until_it_gives_it(clock: Clock) -> None:
    beside = made()
    is_told = told(beside)
    beside.take_driver()
    assert (beside.state, beside.ticket, is_told()) == ("running", None, True)
    beside.take_driver()
    assert not is_told()
    beside.give_driver()
    assert changes(beside) == []
    queue = DriverQueue()
    job = made(queue=queue, clock=clock)
    job.ask_for_driver()
    ticket = job.ticket
    assert ticket is not None
    job.ask_for_driver()
    assert (job.ticket, list(queue.waiting), changes(job), ticket.who) == (
        ticket,
        [ticket],
        [job],
        "alice: f",
    )
    assert ticket.valid
    clock.do = [lambda: None, queue.advance]
    job.take_driver()
    assert (job.state, clock.waits, changes(job)) == ("running", [None, None], [job])
    job.take_driver()
    assert (job.ticket, changes(job)) == (ticket, [])
    job.give_driver()
    assert (ticket.done, changes(job)) == (True, [job])
    job.ask_for_driver()
    assert job.ticket is not ticket
    assert job.ticket is not None
    job.give_up_driver()
    assert (job.ticket.done, changes(job)) == (True, [job])
    job.ask_for_driver()
    job.outcome = {"value": 1}
    assert not job.ticket.valid
    cancelled = made(queue=queue, clock=clock)
    cancelled.reason = "cancelled"
    with pytest.raises(Cancelled):
        cancelled.take_driver()


def cancels(reason: str) -> None:
    LOCAL.job.reason = reason
    raise Cancelled("by itself")


async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def numbers() -> AsyncIterator[int]:
    yield 1


ENDS: dict[str, tuple[Any, list[Any], Any]] = {
    "a value": (max, [1, 2], {"value": 2}),
    "a coroutine": (later, [7], {"value": 7}),
    "a reason": (cancels, ["deadline"], {"cancelled": "deadline"}),
    "no reason": (cancels, [""], {"cancelled": "by itself"}),
    "an error": (int, ["x"], "invalid literal"),
    "a generator": (lambda: (x for x in [1]), [], "f is a generator function: use .stream(), not a call"),
    "an async generator": (numbers, [], "f is a generator function: use .stream(), not a call"),
    "what cannot travel": (object, [], "f: its value cannot travel: value: a object cannot be encoded"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_function_ends_with_its_value_its_error_or_the_reason_for_its_end(name: str) -> None:
    function, args, outcome = ENDS[name]
    job = made(function, args=args)
    is_told = told(job)
    found = run(job)
    if isinstance(outcome, str):
        assert found["error"]["message"].startswith(outcome)
    else:
        assert found == outcome
    assert (job.state, job.call, is_told(), changes(job)) == ("done", (None, (), {}), True, [job])
    assert job.first_news.get(timeout=150) is None
    assert job.ended > 0.0


def test_a_function_gives_the_driver_back_however_it_ends() -> None:
    for function in (max, int):
        queue = DriverQueue()
        job = made(function, queue, args=["x"])
        job.ask_for_driver()
        queue.advance()
        assert run(job) is not None
        assert job.ticket is not None
        assert job.ticket.done
    injected = made()
    injected.finish = lambda outcome: cancels("")  # type: ignore[method-assign]  # on its last lines
    assert run(injected) is None


def test_the_first_end_counts_and_a_cancelled_job_has_no_value() -> None:
    job = made()
    job.finish({"value": 1})
    ended = job.ended
    job.finish({"value": 2})
    assert (job.outcome, job.ended, job.verdict) == ({"value": 1}, ended, {"by": "return"})
    assert not job.cancel()
    assert job.outcome == {"value": 1}
    for outcome, failure in (({"value": 1}, None), ({"error": {"class": "E"}}, {"class": "E"})):
        cancelled = made()
        assert cancelled.cancel()
        assert cancelled.cancel()
        assert cancelled.reason == "cancelled"
        cancelled.finish(outcome)
        assert cancelled.outcome == {"cancelled": "cancelled", "failure": failure}


def test_a_job_that_ends_by_the_request_at_once_is_cancelled() -> None:
    job = made()

    def wake() -> None:
        job.finish({"cancelled": job.reason})

    job.wake = wake  # type: ignore[method-assign]  # the job's thread is quicker than the one that asks
    assert job.cancel()
    assert (job.reason, job.outcome) == ("cancelled", {"cancelled": "cancelled", "failure": None})


def test_a_value_that_cannot_be_sent_is_replaced_before_the_end_and_after_it() -> None:
    job = made()
    is_told = told(job)
    job.items.add(1)
    job.discard("it is odd")
    assert (job.reason, job.outcome, is_told()) == ("a value that cannot travel", None, True)
    assert job.poll(0, 0)["items"] == []
    job.finish({"value": 1})
    assert job.outcome is not None
    assert (job.outcome["error"]["class"], job.outcome["error"]["message"]) == ("TypeError", "it is odd")
    done = made()
    done.finish({"value": 1})
    done.discard("it is odd")
    assert done.outcome is not None
    assert done.outcome["error"]["message"] == "it is odd"
    is_told = told(done)
    done.event(20, "lab", "a line")
    assert (is_told(), [line[2:] for line in done.poll(0, 0)["events"]]) == (True, [(20, "lab", "a line")])
    done.drop("too old")
    assert (done.outcome["error"]["class"], done.outcome["error"]["message"]) == ("LookupError", "too old")
    assert (done.poll(0, 0)["events"], is_told()) == ([], True)


def test_a_request_waits_a_moment_for_what_may_come(clock: Clock) -> None:
    job = made(clock=clock)
    seen: list[bool] = []
    clock.do = [lambda: seen.append(job.awaited)]
    job.wait_a_moment()  # 0.5 s is longer than a moment
    assert (seen, job.awaited) == ([True], False)
    assert clock.waits == [pytest.approx(QUICK)]
    job.wait_a_moment()
    assert (len(clock.waits), job.awaited) == (2, False)
    for comes in (lambda: job.items.add(1), lambda: job.finish({"value": 1})):
        clock.now -= 0.5  # a moment goes on
        clock.do = [comes]
        job.items.held.clear()
        before = len(clock.waits)
        clock.put = lambda _: None  # type: ignore[attr-defined]
        job.wait_a_moment()
        assert len(clock.waits) == before + 1
        job.wait_a_moment()
        assert len(clock.waits) == before + 1


def test_a_thread_is_woken_once_however_many_want_it() -> None:
    job = made()
    for _ in range(3):
        job.wake()
    assert job.wakeups.get(timeout=150) is None
    assert job.wakeups.empty()
    job.end("cancelled")
    assert (job.wakeups.empty(), changes(job)) == (False, [job])
    job.wakeups.get()
    job.items.add(1)
    job.take_back(0)
    assert job.wakeups.empty()
    job.take_back(1, 0.1)
    assert not job.wakeups.empty()


def test_items_are_offered_until_the_window_is_full_and_others_have_the_driver_meanwhile(
    clock: Clock,
) -> None:
    closed: list[int] = []

    def counts() -> Iterator[int]:
        try:
            yield from range(FEW + 2)
        finally:
            closed.append(1)

    queue = DriverQueue()
    job = made(queue=queue, clock=clock, streams=True)
    is_told = told(job)
    job.ask_for_driver()
    queue.advance()
    before = job.ticket
    assert before is not None

    def take() -> None:
        assert (before.done, len(job.items.held), is_told()) == (True, FEW, True)
        job.items.take_back(4, None)

    clock.do = [take, queue.advance]
    job.produce(counts())
    assert [item for item, _ in job.items.held] == list(range(4, FEW + 2))
    assert (closed, clock.waits) == ([1], [None, None])
    assert job.ticket is not before
    job.items.held.clear()
    job.items.bytes_taken = job.items.bytes_made
    other = made(queue=queue)
    other.ask_for_driver()
    ticket = job.ticket

    def give() -> None:
        other.give_driver()
        queue.advance()

    clock.do = [queue.advance, give]
    job.produce([1])  # another one waits for the driver
    assert job.ticket is not ticket
    assert (job.state, clock.do, len(clock.waits)) == ("running", [], 4)


def test_what_is_no_iterable_is_no_stream_and_one_that_is_to_end_ends() -> None:
    job = made(streams=True)
    with pytest.raises(TypeError, match=r"f is no generator function: call or submit it instead of \.stream"):
        job.produce(7)
    job.produce([])
    with pytest.raises(TypeError, match="f: its value cannot travel"):
        job.produce([1, object()])
    assert len(job.items.held) == 1
    job.reason = "cancelled"
    with pytest.raises(Cancelled):
        job.produce([1, 2])
    assert len(job.items.held) == 2
    job = made(numbers, streams=True)
    assert run(job) == {"value": None}
    assert job.poll(0, 0)["items"] == [1]
    assert job.poll(0, 0)["outcome"] is None
    assert job.poll(0, 1)["outcome"] == {"value": None}
    assert job.poll(0, 0)["first_item"] == 1


def test_a_window_is_full_by_items_or_bytes_and_grows_with_the_consumer() -> None:
    assert (FEW, MOST_AHEAD, LARGE) == (8, 4 << 20, 1 << 16)
    kept = Items()

    def is_full() -> bool:
        return kept.full

    for number in range(FEW):
        assert not is_full()
        kept.add(number)
    assert is_full()
    kept.window = 2 * FEW
    assert not is_full()
    kept.bytes_made = kept.bytes_taken + MOST_AHEAD - 1
    assert not is_full()
    kept.bytes_made += 1
    assert is_full()
    kept.bytes_taken = 64
    kept.bytes_made = 64 + MOST_AHEAD
    assert is_full()
    assert kept.take_back(3, None) == 3
    assert (kept.first, kept.window, kept.bytes_taken) == (3, 2 * FEW, 64 + 3 * 64)
    kept.bytes_made = 1 << 30
    assert not is_full()  # there are too few
    assert kept.take_back(2, 1.0) == 0
    assert kept.window == 2 * FEW
    assert kept.take_back(99, 0.05) == 5
    assert (kept.window, kept.first) == (10, 8)
    for spent, window in ((AHEAD / 1.5, 18), (AHEAD, 12), (0.0, 24), (10.0, FEW)):
        for number in range(12):
            kept.add(number)
        assert kept.take_back(kept.first + 12, spent) == 12
        assert kept.window == window


def test_an_answer_has_half_of_the_bytes_that_may_wait_but_few_items_at_least() -> None:
    kept = Items()
    size = MOST_AHEAD // 2 // 16
    for _ in range(40):
        kept.add(bytes(size - 64))
    assert len(kept.batch()) == 16
    large = Items()
    for _ in range(20):
        large.add(bytes(MOST_AHEAD))
    assert len(large.batch()) == FEW


def test_small_arrays_of_one_form_are_rows_and_all_else_is_left() -> None:
    row = np.zeros(LARGE // 8)
    for alike in ([row, row], [np.zeros((2, 1)), np.ones((2, 1)), np.ones((2, 1))]):
        found = stacked(list(alike))
        assert isinstance(found, np.ndarray)
        assert np.array_equal(found, np.array(alike))

    class Own(np.ndarray): ...

    for other in (
        [], [row], [np.zeros(LARGE // 8 + 1)] * 2, [np.float64(1)] * 2, [np.array(1)] * 2, [1, 2], [row, 1],
        [np.zeros(3), np.zeros(3, "f4")], [np.zeros(3), np.zeros(4)], [np.zeros(3), np.zeros(3).view(Own)],
        [np.zeros(3).view(Own)] * 2, [1, row],
    ):  # fmt: skip
        assert stacked(other) is other


def test_an_asynchronous_generator_is_closed_with_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    loops: list[asyncio.AbstractEventLoop] = []
    new = asyncio.new_event_loop

    def noting() -> asyncio.AbstractEventLoop:
        loops.append(new())
        return loops[-1]

    async def counts() -> Any:
        try:
            for number in range(3):
                yield number
        finally:
            ended.append(1)

    monkeypatch.setattr(asyncio, "new_event_loop", noting)
    assert list(awaited(counts())) == [0, 1, 2]
    left: Any = awaited(counts())
    assert next(left) == 0
    assert ended == [1]
    left.close()
    assert ended == [1, 1]
    assert [loop.is_closed() for loop in loops] == [True, True]

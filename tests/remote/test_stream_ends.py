"""A stream takes each item once, and tells its generator's end once, however it ends."""

import logging
import types
from typing import Any

import numpy as np
import pytest

from rexec.remote import RemoteFunctionError, StateLost, _streams
from rexec.remote._jobs import Job
from rexec.remote._streams import Stream

VALUE, FAILED = {"value": None}, {"error": {
    "class": "ValueError", "builtin": True, "message": "odd", "args": ["odd"], "module": "builtins", "state": {},
    "frames": [], "text": "", "notes": [],
}}  # fmt: skip


def news(first: int, *items: Any, outcome: Any = None, array: bool = False) -> dict[str, Any]:
    return {
        "state": "running", "progress": [0.0, ""], "events": [], "event_count": 0, "first_item": first,
        "items": np.array(items) if array else list(items), "outcome": outcome,
    }  # fmt: skip


class Controller:
    """What a stream asks its controller and its poller; polls are answered from a list."""

    where = "lamp"
    log = logging.getLogger("rexec.remote.lamp")

    def __init__(self, *answers: Any) -> None:
        self.channel = self
        self.answers = iter(answers)
        self.asked: list[Any] = []
        self.kept: list[Any] = []
        self.ended: list[Any] = []
        self.abandoned: list[Any] = []

    def request(self, action: str, payload: Any) -> Any:
        self.asked.append(payload[:3] if action == "poll" else action)
        self.spent = payload[3] if action == "poll" else None
        return next(self.answers) if action == "poll" else True

    def keep_alive(self, job: Any) -> None:
        self.kept.append(job)

    def end(self, job: Job[Any], outcome: Any) -> None:
        self.ended.append(outcome)
        job.finish(outcome)

    def abandon(self, job: Any) -> None:
        self.abandoned.append(job)


def stream(controller: Any, first: dict[str, Any]) -> Stream[Any]:
    found: Stream[Any] = Stream(controller, Job(controller, "1", "frames"), first)
    assert controller.kept == [found.job]
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Have time go on in pauses only."""
    clock = types.SimpleNamespace(now=100.0, pauses=[])

    def sleep(seconds: float) -> None:
        clock.pauses.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(_streams, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now))
    return clock


def test_each_item_comes_once_and_the_end_once() -> None:
    controller = Controller(
        news(1, "b", "c"), news(2, "c", "d"), news(4, 5, 6, array=True), news(6, outcome=VALUE)
    )
    items = stream(controller, news(0, "a", "b"))
    assert iter(items) is items
    assert repr(items) == "<Stream frames on lamp: 0 items taken, running>"
    assert [next(items), next(items)] == ["a", "b"]
    assert repr(items) == "<Stream frames on lamp: 2 items taken, running>"
    assert [next(items), next(items), next(items), next(items)] == ["c", "d", 5, 6]
    with pytest.raises(StopIteration):
        next(items)
    assert controller.asked == [["1", 0, 2], ["1", 0, 3], ["1", 0, 4], ["1", 0, 6]]
    assert controller.ended == [VALUE]
    assert repr(items) == "<Stream frames on lamp: 6 items taken, ended>"
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(items)
    items.close()
    assert (len(controller.asked), controller.ended, controller.abandoned) == (4, [VALUE], [])


def test_what_arrived_with_the_end_comes_before_it() -> None:
    controller = Controller()
    items = stream(controller, news(0, "a", "b", outcome=FAILED))
    assert [next(items), next(items)] == ["a", "b"]
    with pytest.raises(ValueError, match="odd"):
        next(items)
    assert (controller.asked, controller.ended) == ([], [FAILED])


def test_a_row_of_a_batch_is_an_array_of_its_own() -> None:
    batch = news(0, [1, 2], [3, 4], array=True)
    items = stream(Controller(), batch)
    first = next(items)
    assert first.base is None
    batch["items"][:] = 0
    assert [list(first), list(next(items))] == [[1, 2], [3, 4]]


def test_a_wait_for_an_item_asks_ever_more_rarely_and_tells_the_consumer_s_time_once(clock: Any) -> None:
    controller = Controller(*[news(1)] * 12, news(1, "b"), news(2, "c"))
    items = stream(controller, news(0, "a"))
    assert next(items) == "a"
    clock.now += 7.0
    spent: list[float | None] = []
    request = controller.request

    def noting(action: str, payload: Any) -> Any:
        spent.append(payload[3])
        return request(action, payload)

    controller.request = noting  # type: ignore[method-assign]
    assert next(items) == "b"
    assert spent == [7.0, *[None] * 12]
    expected = [min(0.05, 0.002 * 1.5**number) for number in range(12)]
    assert clock.pauses == pytest.approx(expected)
    assert next(items) == "c"  # at once
    assert spent[13:] == [0.0]
    assert len(clock.pauses) == 12


def test_a_stream_that_its_controller_does_not_know_is_lost() -> None:
    with pytest.raises(StateLost, match="lamp: frames is not known there any more"):
        next(stream(Controller(None), news(0)))


def test_a_stream_that_is_closed_asks_its_generator_to_end_and_waits_for_that(clock: Any) -> None:
    controller = Controller(news(2, "c"), news(3, "d"), news(4, outcome={"cancelled": "cancelled"}))
    with stream(controller, news(0, "a", "b")) as items:
        assert next(items) == "a"
    assert controller.asked == ["cancel", ["1", 0, 2], ["1", 0, 3], ["1", 0, 4]]
    assert clock.pauses == [0.002] * 2
    assert controller.ended == [{"cancelled": "cancelled"}]
    assert (items.job.cancelled(), controller.abandoned) == (True, [])
    items.close()
    assert len(controller.asked) == 4
    with pytest.raises(StopIteration):
        next(items)
    assert repr(items) == "<Stream frames on lamp: 4 items taken, ended>"


def test_a_generator_that_has_ended_is_not_asked_to(caplog: pytest.LogCaptureFixture) -> None:
    for outcome, said in (
        (VALUE, []),
        (FAILED, ["lamp: frames failed before it was closed: ValueError('odd')"]),
    ):
        caplog.clear()
        controller = Controller()
        stream(controller, news(0, "a", outcome=outcome)).close()
        assert (controller.asked, controller.ended) == ([], [outcome])
        assert caplog.messages == said


def test_a_generator_that_does_not_end_is_left_behind_with_a_warning(
    clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    controller = Controller(*[news(0)] * 10_000)
    items = stream(controller, news(0))
    began = clock.now
    items.close()
    assert 10.0 <= clock.now - began < 10.01
    assert controller.abandoned == [items.job]
    assert controller.ended == [{"cancelled": "cancelled"}]
    assert caplog.messages == ["lamp: frames was asked to end and has not in 10 s: it still has the driver"]


def test_an_error_as_it_closes_ends_the_stream_too() -> None:
    controller = Controller(None)
    items = stream(controller, news(0, "a"))
    with pytest.raises(StateLost):
        items.close()
    assert (controller.abandoned, controller.ended) == ([items.job], [{"cancelled": "cancelled"}])
    with pytest.raises(StopIteration):
        next(items)


def test_a_stream_that_is_dropped_is_abandoned_unless_it_was_closed() -> None:
    controller = Controller()
    items = stream(controller, news(0, "a"))
    items.__del__()
    assert controller.abandoned == [items.job]
    closed = Controller()
    ended = stream(closed, news(0, outcome=VALUE))
    ended.close()
    ended.__del__()
    assert closed.abandoned == []
    Stream.__new__(Stream).__del__()  # whose __init__ was interrupted
    items._closed = True


def test_a_forked_child_neither_takes_nor_ends_the_parent_s_stream() -> None:
    controller = Controller()
    items = stream(controller, news(0, "a"))
    items.job._generation = items.job._refused_in = -1
    with pytest.raises(RemoteFunctionError, match="frames is a job of the process"):
        next(items)
    items.close()
    items.__del__()
    assert (controller.asked, controller.ended, controller.abandoned) == ([], [], [])

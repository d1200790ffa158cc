"""What a poller asks of a controller, when, and what becomes of the answers."""

import logging
import threading
import types
from typing import Any

import pytest

from rexec.remote import CannotTravel, RemoteFunctionError, StateLost, _poller
from rexec.remote._jobs import Job
from rexec.remote._poller import Poller

VALUE = {"value": 7}


def news(outcome: Any = None, state: str = "running", events: int = 0) -> dict[str, Any]:
    lines = [[number, 0.0, 0, "stdout", "x"] for number in range(1, events + 1)]
    return {"state": state, "progress": [0.0, ""], "events": lines, "event_count": events, "outcome": outcome}


class Controller:
    """A channel and a shipper: notes what is asked, and answers each action from a list of its own."""

    where, lease = "lamp", 30.0
    log = logging.getLogger("rexec.remote.lamp")

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.closed = False
        self.inherited = False

    def request(self, action: str, payload: Any = None) -> Any:
        self.asked.append((action, payload))
        answer = self.answers[action].pop(0) if self.answers.get(action) else None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def submit(self, shipment: Any, spec: Any) -> Any:
        return self.request("submit", spec)

    def leave_the_parent_alone(self) -> None:
        self.asked.append(("alone", None))

    def when_state_is_lost(self, do: Any) -> None:
        self.lose = do

    def when_forked(self, do: Any) -> None:
        self.fork = do


class Still(Poller):
    """A poller whose thread does nothing."""

    def _run(self) -> None: ...


def poller(controller: Any, kind: type[Poller] = Still) -> Poller:
    return kind(controller, controller)


def job(controller: Any, name: str = "1") -> Job[Any]:
    return Job(controller, name, "f")


def start(polling: Poller, **spec: Any) -> Any:
    shipment: Any = types.SimpleNamespace(function="f")
    return polling.start(shipment, {"args": [], "kwargs": {}} | spec)


def test_a_job_is_started_with_an_id_and_what_may_be_forgotten() -> None:
    controller = Controller(submit=[news()])
    polling = poller(controller)
    polling._ended.extend(["8", "9"])
    started, first = start(polling)
    assert (started.name, started.where, first) == ("f", "lamp", news())
    assert len(bytes.fromhex(started.id)) == 8
    spec = {"args": [], "kwargs": {}, "id": started.id, "forget": ["8", "9"]}
    assert controller.asked == [("alone", None), ("submit", spec)]
    assert not polling._ended
    assert not polling.busy


def test_a_start_that_fails_is_told_by_what_failed() -> None:
    for error in (ConnectionError("cut"), CannotTravel("odd"), RemoteFunctionError("closed")):
        with pytest.raises(type(error)):
            start(poller(Controller(submit=[error])))
    for spec, said in (
        ({"args": [[1, object()]]}, r"args\[0\]\[1\]"),
        ({"kwargs": {"a": object()}}, r"kwargs\['a'\]"),
    ):
        controller = Controller(submit=[TypeError("not encodable")])
        with pytest.raises(TypeError, match=rf"^f\(\): {said}: a object cannot be encoded"):
            start(poller(controller), **spec)
        assert [action for action, _ in controller.asked] == ["alone", "submit"]
    with pytest.raises(ValueError, match="of the agent"):
        start(poller(Controller(submit=[ValueError("of the agent")])))
    controller = Controller(submit=[ValueError("the value")], poll=[news(VALUE)])
    started, first = start(poller(controller))
    assert (first, controller.asked[-1]) == (news(VALUE), ("poll", [started.id, 0, 0, None]))


def test_a_start_that_is_interrupted_is_undone_by_the_thread() -> None:
    polling = poller(Controller(submit=[KeyboardInterrupt()]))
    with pytest.raises(KeyboardInterrupt):
        start(polling)
    assert polling.busy
    assert len(polling._abandoned) == 1
    assert polling._thread is not None
    assert polling._wake.is_set()


def test_a_job_is_polled_for_until_it_ends() -> None:
    controller = Controller()
    polling = poller(controller)
    done, runs = job(controller, "1"), job(controller, "2")
    polling.follow(done, news(VALUE))
    assert (done.result(0), polling.active, list(polling._ended)) == (7, [], ["1"])
    polling.follow(runs, news(events=2))
    assert (runs.state, runs.output) == ("running", ["x", "x"])
    assert (polling.active, polling._marks, list(polling._new)) == ([runs], {"2": ["2", 2, 0]}, ["2"])
    stream = job(controller, "3")
    polling.keep_alive(stream)
    assert polling.active == [runs, stream]
    polling.end(stream, VALUE)
    assert (polling.active, list(polling._ended), controller.asked) == ([runs], ["1", "3"], [])
    assert polling.busy
    polling.fail(ValueError("odd"))
    assert (str(runs.exception(0)), polling._marks, polling.busy) == ("odd", {}, False)


def test_a_large_outcome_is_dropped_on_the_controller_at_once() -> None:
    assert _poller._SMALL == 1 << 16
    for size, asked in (((1 << 16) // 4 - 16, False), ((1 << 16) // 4 - 15, True)):
        controller = Controller()
        polling = poller(controller)
        ended = job(controller)
        polling.end(ended, {"value": bytes(size)})
        assert controller.asked == ([("forget", ["1"])] if asked else [])
        assert len(ended.result(0)) == size
    controller = Controller()
    controller.closed = True
    poller(controller).end(job(controller), {"value": bytes(1 << 20)})
    poller(controller).end(job(controller), {"error_of": 1, "cancelled": "cancelled"})
    assert controller.asked == []


@pytest.mark.parametrize("error", [ConnectionError("cut"), StateLost("lost"), RemoteFunctionError("closed")])
def test_an_outcome_that_has_arrived_counts_where_it_cannot_be_dropped_there(error: Exception) -> None:
    value = bytes(1 << 20)
    controller = Controller(forget=[error, error], news=[[1, [("2", news({"value": value}))]]])
    polling = poller(controller)
    called, runs = job(controller, "1"), job(controller, "2")
    polling.follow(called, news({"value": value}))
    assert called.result(0) == value
    polling.find(runs)
    polling._ask()
    assert runs.result(150) == value
    assert [asked for asked in controller.asked if asked[0] == "news"] == [
        ("news", [0, [["2", 0, 0]], ["1"], ["2"]])
    ]
    assert (list(polling._ended), polling.active) == (["2"], [])


def test_news_are_asked_for_by_what_is_known() -> None:
    controller = Controller(
        news=[
            [5, [["1", news(events=2)], ["2", None], ["9", news()], ["3", news(VALUE)]]],
            [6, []],
            [7, [["1", news(events=2)]]],
        ]
    )
    polling = poller(controller)
    jobs = [job(controller, name) for name in "123"]
    for each in jobs:
        polling.find(each)
    polling._ended.append("0")
    polling._ask()
    assert controller.asked == [
        ("news", [0, [["1", 0, 0], ["2", 0, 0], ["3", 0, 0]], ["0"], ["1", "2", "3"]])
    ]
    assert (jobs[0].output, polling.active, jobs[2].result(0)) == (["x", "x"], [jobs[0]], 7)
    with pytest.raises(
        RemoteFunctionError, match="f was ended there: the controller does not know it any more"
    ):
        jobs[1].result(0)
    polling._ask()
    assert controller.asked[1] == ("news", [5, [["1", 2, 0]], ["2", "3"], []])
    polling._ask()
    assert controller.asked[2] == ("news", [6, [], [], []])
    assert polling._marks == {}


@pytest.mark.parametrize("error", [ConnectionError("cut"), StateLost("lost")])
def test_what_did_not_arrive_is_told_again(error: Exception) -> None:
    controller = Controller(news=[error, [1, []]])
    polling = poller(controller)
    polling.find(job(controller))
    polling._ended.extend("ab")
    polling._new.append("2")
    with pytest.raises(type(error)):
        polling._ask()
    polling._ended.append("c")
    polling._new.append("3")
    polling._ask()
    assert controller.asked[1] == ("news", [0, [["1", 0, 0]], ["a", "b", "c"], ["1", "2", "3"]])


def test_a_value_that_fails_the_answer_about_all_is_found_by_asking_for_each() -> None:
    controller = Controller(news=[ValueError("odd"), [1, []]], poll=[news(), news(VALUE)])
    polling = poller(controller)
    jobs = [job(controller, name) for name in "12"]
    for each in jobs:
        polling.find(each)
    polling._ask()
    assert [payload[0] for action, payload in controller.asked if action == "poll"] == ["1", "2"]
    assert jobs[1].result(0) == 7
    polling._ask()
    assert controller.asked[-1][1][3] == ["1", "2"]


def test_who_waits_learns_who_has_the_driver(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(_poller, "time", types.SimpleNamespace(monotonic=lambda: 100.0))
    controller = Controller(driver=[["alice: scan", 20.0], ["alice: scan", 30.0], None, ["bob: fit", 1.0]])
    polling = poller(controller)
    waits, runs = job(controller, "1"), job(controller, "2")
    runs.state = "running"
    polling.find(runs)
    polling._learn_who_has_the_driver()
    assert controller.asked == []
    polling.find(waits)
    with caplog.at_level(logging.INFO, "rexec.remote.lamp"):
        for holder in (("alice: scan", 80.0), ("alice: scan", 70.0), None, ("bob: fit", 99.0)):
            polling._learn_who_has_the_driver()
            assert (waits.holder, runs.holder) == (holder, None)
    said = [f"[lamp] f waits for the driver: {who}" for who in ("alice: scan", "bob: fit")]
    assert caplog.messages == said
    assert controller.asked == [("driver", None)] * 4


def test_jobs_of_a_lost_state_fail_and_those_of_a_parent_are_not_known() -> None:
    controller = Controller()
    polling = poller(controller)
    lost = job(controller)
    polling.find(lost)
    polling.keep_alive(job(controller, "2"))
    controller.lose(StateLost("lost"))
    assert isinstance(lost.exception(0), StateLost)
    assert not polling.busy
    polling.find(lost)
    polling._number = 5
    controller.fork()
    assert (polling.active, polling._number, polling._thread, polling.busy) == ([], 0, None, False)


class Wake:
    """Notes the pauses of a poller, and has the channel closed after some."""

    def __init__(self, controller: Controller, *woken: Any) -> None:
        self.controller, self.woken = controller, list(woken)
        self.pauses: list[float] = []
        self.cleared = 0

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        woken = self.woken.pop(0)
        self.controller.closed = not self.woken
        return bool(woken() if callable(woken) else woken)

    def clear(self) -> None:
        self.cleared += 1


def polls(monkeypatch: pytest.MonkeyPatch, polling: Poller, *woken: Any) -> tuple[Wake, Any]:
    """Run a poller's loop here, as its thread, for some pauses."""
    controller: Any = polling.channel
    clock = types.SimpleNamespace(now=100.0, slept=[])
    monkeypatch.setattr(
        _poller, "time", types.SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.slept.append)
    )
    wake: Any = Wake(controller, *woken)
    polling._wake = wake
    polling._thread = threading.current_thread()
    return wake, clock


def test_the_pauses_grow_with_the_time_that_jobs_take_and_begin_anew_with_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = Controller(news=[[number, []] for number in range(9)])
    polling = poller(controller)
    runs = job(controller)
    polling.follow(runs, news())
    monkeypatch.setattr(_poller, "_polling", {polling})
    wake, clock = polls(monkeypatch, polling, lambda: later(1.0), lambda: later(10.0), True, False, False)

    def later(seconds: float) -> bool:
        clock.now += seconds
        return False

    polling._ask_until_none_is_left()
    assert wake.pauses == [0.002, pytest.approx(0.015), 0.1, 0.002, 0.002]
    assert (wake.cleared, clock.slept) == (1, [0.002])
    assert [action for action, _ in controller.asked] == ["news"] * 5
    controller.closed = False
    wake, _ = polls(monkeypatch, polling, False)
    monkeypatch.setattr(_poller, "_polling", set(range(50)))
    polling._ask_until_none_is_left()
    assert wake.pauses == [0.05]


def test_the_loop_ends_with_the_last_job_and_tells_what_was_abandoned_before() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        controller = Controller()
        polling = poller(controller)
        stream = job(controller)
        polling.keep_alive(stream)
        polling.abandon(stream)
        polls(monkeypatch, polling, False, False, False)
        polling._ask_until_none_is_left()
        assert controller.asked == [("abandon", ["1"])]
        assert (polling._thread, controller.closed, polling._streams) == (None, False, {})
        polling._streams["1"] = stream
        polls(monkeypatch, polling, False, False)
        polling._thread = threading.Thread()  # another one has taken over
        polling._ask_until_none_is_left()
        assert len(controller.asked) == 1


def test_streams_whose_consumers_are_busy_are_kept_alive_and_waiting_jobs_ask_for_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = Controller(driver=[None] * 9)
    polling = poller(controller)
    polling.keep_alive(job(controller))
    clock: Any

    def later(seconds: float) -> Any:
        def do() -> bool:
            clock.now += seconds
            return False

        return do

    seconds = (0.5, 0.5, 0.1, 4.9, 0.1, 5.9, 0.2)
    _, clock = polls(monkeypatch, polling, *map(later, seconds), False)
    seen: list[float] = []
    request = controller.request

    def noting(action: str, payload: Any = None) -> Any:
        seen.append(round(clock.now - 100.0, 1))
        return request(action, payload)

    controller.request = noting  # type: ignore[method-assign]
    polling._ask_until_none_is_left()
    asked = [(at, action) for at, (action, _) in zip(seen, controller.asked, strict=True)]
    assert [at for at, action in asked if action == "jobs_alive"] == [6.1, 12.2]
    assert [at for at, action in asked if action == "driver"] == [1.1, 6.0, 12.0]


def test_an_error_of_a_poll_fails_the_jobs_and_the_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(news=[ConnectionError("cut"), StateLost("lost"), [1, []]])
    polling = poller(controller)
    first, second = job(controller, "1"), job(controller, "2")
    polling.find(first)

    def another() -> bool:
        polling._jobs["2"] = second
        return False

    polls(monkeypatch, polling, False, another, False)
    polling._ask_until_none_is_left()
    assert str(first.exception(0)) == "cut"
    assert not second.done()
    assert [action for action, _ in controller.asked] == ["news"] * 3


def test_the_thread_is_one_that_does_not_keep_the_program_and_is_waited_for_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free, begun = threading.Event(), threading.Event()

    class Waiting(Poller):
        def _ask_until_none_is_left(self) -> None:
            begun.set()
            free.wait(150)

    controller = Controller()
    polling = poller(controller, Waiting)
    monkeypatch.setattr(_poller, "_polling", set())
    polling.find(job(controller))
    thread = polling._thread
    assert thread is not None
    assert begun.wait(150)
    assert (thread.name, thread.daemon, _poller._polling) == ("rexec lamp", True, {polling})
    polling.find(job(controller, "2"))
    assert polling._thread is thread
    polling.stop(0.0)
    assert thread.is_alive()
    free.set()
    polling.stop(150.0)
    assert not thread.is_alive()
    assert _poller._polling == set()
    assert polling._wake.is_set()
    polling.find(job(controller, "3"))
    assert polling._thread is not thread
    polling.stop(150.0)
    polling._thread = threading.current_thread()
    polling.stop(150.0)  # it does not wait for itself
    polling._keep_asking()  # as what handles log records does
    assert polling._thread is not threading.current_thread()
    polling.stop(150.0)

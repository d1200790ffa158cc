"""What a fleet asks of each of its devices, and what becomes of those that fail, are late or do not answer."""

import concurrent.futures
import inspect
import logging
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

from rexec.ground.waits import done_within
from rexec.remote import Fleet, FleetError, FleetResults, JobExpired, _fleet, fleet
from rexec.remote._fleet import _until
from rexec.remote._function import Options
from rexec.remote._jobs import Job
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.waiting import within


class Device:
    """A remote whose functions end at once with a value or an error, or when they are told to."""

    def __init__(self, name: str = "lamp", outcome: Any = None, ahead: float = 0.0) -> None:
        self.where = name
        self.log = logging.getLogger(f"rexec.remote.{name}")
        self.outcome = outcome or {"value": name}
        self.ahead = ahead
        self.early = 1.0
        self.measured = 0
        self.error: Exception | None = None
        self.jobs: list[Job[Any]] = []
        self.given: list[Any] = []
        self.cancels: list[str] = []
        self.threads: list[threading.Thread] = []

    def shipped(self, function: Any, shipment: Any, options: Options) -> "Device":
        assert (function, shipment.function) == (code.scaled, "scaled")
        self.options = options
        self.is_one_of_many = False
        return self

    def one_of_many(self) -> "Device":
        self.is_one_of_many = True
        return self

    def submit(self, *args: Any) -> Job[Any]:
        assert self.is_one_of_many
        self.threads.append(threading.current_thread())
        self.given.append(args)
        if self.error is not None:
            raise self.error
        channel: Any = self
        job: Job[Any] = Job(channel, "1", "scaled")
        job.output.append(f"of {self.where}")
        self.jobs.append(job)
        if self.outcome != "none":
            job.finish(self.outcome)
        return job

    def arm(self, *args: Any) -> Callable[[float], tuple[Job[Any], float]]:
        job = self.submit(*args)

        def go(at: float) -> tuple[Job[Any], float]:
            self.given.append(at)
            return job, self.early

        return go

    def clock_offset(self) -> float:
        self.measured += 1
        if self.error is not None:
            raise self.error
        return self.ahead

    def request(self, action: str, payload: Any) -> bool:
        self.cancels.append(action)
        return True


def of(*devices: Any) -> Fleet:
    return Fleet({each.where: each for each in devices})


def test_a_function_is_sent_to_all_with_its_options_and_its_arguments() -> None:
    left, right = Device("left"), Device("right")
    results: Any = of(left, right).call(code.scaled, 1, 2, parallel=True, deadline=150.0)
    assert results == FleetResults(
        {"left": "left", "right": "right"}, {}, {"left": ["of left"], "right": ["of right"]}
    )
    for each in (left, right):
        assert each.options == Options(parallel=True, deadline=150.0)
        assert (each.given, each.measured, each.cancels) == ([(1, 2)], 0, [])
        assert [(thread.name, thread.daemon) for thread in each.threads] == [
            (f"rexec {each.where} ask", True)
        ]


def test_values_and_errors_are_told_apart_and_in_the_order_of_the_devices() -> None:
    late, odd, gone = Device("late", "none"), Device("odd", {"cancelled": "deadline"}), Device("gone")
    gone.error = ConnectionError("cut")
    ended = Device("ended", {"cancelled": "cancelled"})
    found: list[Any] = []
    devices = of(late, odd, gone, ended)
    for name, _ in devices.as_completed(code.scaled):
        found.append(name)
        if len(found) == 3:
            late.jobs[0].finish({"value": 1})
    assert found[0] == "gone"
    assert found[-1] == "late"
    late.outcome = {"value": 1}
    results = devices.call(code.scaled)
    assert (list(results.values), list(results.errors)) == (["late"], ["odd", "gone", "ended"])
    assert [type(each).__name__ for each in results.errors.values()] == [
        "JobExpired", "ConnectionError", "CancelledError",
    ]  # fmt: skip
    assert list(results.output) == ["late", "odd", "ended"]
    with pytest.raises(
        FleetError, match=r"failed on 3 of 4 devices\n  odd: JobExpired: .*\n  gone: Conn"
    ) as caught:
        results.all()
    assert (caught.value.values, caught.value.errors) == (results.values, results.errors)
    assert FleetResults({"a": 1}, {}).output == {}


def test_all_begin_at_one_moment_by_their_own_clocks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_fleet, "wall_clock", lambda: 1000.0)
    devices = [Device("ahead", ahead=40.0), Device("behind", ahead=-3.0), Device("late"), Device("gone")]
    devices[2].early = -0.5
    devices[3].error = ConnectionError("cut")
    with caplog.at_level(logging.WARNING):
        results = of(*devices).call(code.scaled, 1, together=True)
    assert list(results.values) == ["ahead", "behind", "late"]
    assert list(results.errors) == ["gone"]
    assert [each.given for each in devices] == [[(1,), 1040.25], [(1,), 997.25], [(1,), 1000.25], []]
    assert caplog.messages == ["late heard of the common start 0.500 s too late"]


def test_one_that_cannot_be_armed_is_an_error_of_its_own() -> None:
    bad, good = Device("bad"), Device("good")
    bad.clock_offset = lambda: 0.0  # type: ignore[method-assign]
    bad.error = ValueError("odd")
    results = of(bad, good).call(code.scaled, together=True)
    assert (list(results.values), str(results.errors["bad"])) == (["good"], "odd")


def test_a_clock_is_measured_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(_fleet, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    left = Device("left", ahead=5.0)
    devices = of(left)
    for later, measured in ((0.0, 1), (60.0, 1), (0.5, 2), (60.0, 2)):
        now[0] += later
        assert devices.clock_offsets() == {"left": 5.0}
        assert left.measured == measured
    now[0] += 1
    left.error = ConnectionError("cut")
    with pytest.raises(ConnectionError, match="cut"):
        devices.clock_offsets()


def test_a_loop_that_is_left_ends_the_jobs_that_run_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet, "_GRACE", 150.0)
    patience = waits(monkeypatch, 1)
    done, runs = Device("done"), Device("runs", "none")
    for _ in of(done, runs).as_completed(code.scaled):
        break
    assert (done.cancels, runs.cancels) == ([], ["cancel"])
    assert runs.jobs[0].cancelled()
    assert patience[0] is None
    assert 0.0 < (patience[1] or 0.0) <= 150.0
    of(done).call(code.scaled)
    assert (len(patience), done.cancels) == (3, [])


def waits(monkeypatch: pytest.MonkeyPatch, *answers: int) -> list[float | None]:
    """Have a fleet wait for so many answers each time; return the seconds that it would have waited."""
    numbers = iter(answers)
    patience: list[float | None] = []

    def wait(futures: Any, timeout: float | None, return_when: str = concurrent.futures.ALL_COMPLETED) -> Any:
        if return_when == concurrent.futures.FIRST_COMPLETED:
            return done_within(futures, timeout, return_when)
        patience.append(timeout)
        if timeout is None:
            return done_within(futures)
        number = next(numbers)
        assert within(150, lambda: sum(each.done() for each in futures) == number)
        return done_within(futures, 0)

    monkeypatch.setattr(_fleet, "done_within", wait)
    return patience


def test_a_device_that_says_nothing_after_its_deadline_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet, "_GRACE", 0.1)
    patience = waits(monkeypatch, 2)
    silent, good = Device("silent", "none"), Device("good")
    results: Any = of(silent, good).call(code.scaled, deadline=0.1)
    assert (results.values, list(results.output)) == ({"good": "good"}, ["good"])
    assert isinstance(results.errors["silent"], JobExpired)
    assert str(results.errors["silent"]) == (
        "silent: no answer 0.1 s after the deadline: does its controller hang?"
    )
    assert silent.cancels == []  # it would not answer
    assert len(patience) == 1
    assert 0.0 <= (patience[0] or 0.0) <= 0.2


@pytest.mark.parametrize(
    ("step", "answers"),
    [("submit", [1]), ("clock_offset", [1, 1, 1]), ("arm", [2, 1, 1]), ("go", [2, 2, 1])],
)
def test_a_device_that_hangs_at_any_step_is_given_up(
    step: str, answers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fleet, "_GRACE", 0.1)
    patience = waits(monkeypatch, *answers)
    free = threading.Event()
    hung, good = Device("hung"), Device("good")
    hangs: Callable[..., Any] = lambda *_: free.wait(150)  # noqa: E731
    setattr(hung, "arm" if step == "go" else step, (lambda *_: hangs) if step == "go" else hangs)
    results = of(hung, good).call(code.scaled, deadline=0.1, together=step != "submit")
    free.set()
    assert list(results.values) == ["good"]
    assert "hung: no answer" in str(results.errors["hung"])
    assert len(patience) == len(answers)
    assert all(each is not None and 0.0 <= each <= 0.2 for each in patience)


def test_a_deadline_is_counted_from_the_call_and_has_a_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet, "time", types.SimpleNamespace(monotonic=lambda: 100.0))
    assert _until(None) is None
    assert _until(5.0) == 120.0


def test_the_end_of_a_fleet_waits_and_cancels_as_an_executor_s_does() -> None:
    asked: list[Any] = []
    devices = of(Device())
    devices._workers.shutdown = lambda **options: asked.append(options)  # type: ignore[method-assign]
    devices.shutdown()
    devices.shutdown(False, cancel_futures=True)
    assert asked == [{"wait": True, "cancel": False}, {"wait": False, "cancel": True}]


def test_a_fleet_has_devices_and_their_names() -> None:
    with pytest.raises(ValueError, match="a fleet needs at least one device"):
        Fleet({})
    client = Client.__new__(Client)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "__repr__", lambda client: "a client")
        found = fleet({"left": client})
        assert found.devices["left"].name == "left"
        assert found.devices["left"]._channel.client is client
    assert inspect.signature(Fleet.start).parameters["together"].default is False
    assert within(150, lambda: repr(found) == "<Fleet of left>")

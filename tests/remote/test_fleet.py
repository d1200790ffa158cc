"""Several controllers as one."""

import asyncio
import concurrent.futures
import pickle
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import rexec.remote
from rexec.ground.clock import wall_clock
from rexec.remote import Fleet, FleetError, _fleet
from rexec.remote._workers import Workers
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import Driver
from tests.serving import serving


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with ExitStack() as stack:
        clients = {}
        for name in ("one", "two", "three"):
            port = stack.enter_context(serving(rexec_targets("camera", Driver())))
            clients[name] = Client("127.0.0.1", port, "camera_rexec")
        fleet = stack.enter_context(rexec.remote.fleet(clients))
        yield fleet
        for remote in fleet.devices.values():
            remote.close_rpc()


def test_a_function_runs_on_every_device(fleet: Fleet) -> None:
    assert fleet.call(code.measure).all() == {"one": 1, "two": 1, "three": 1}


def test_failures_are_named_and_keep_nothing_back(fleet: Fleet) -> None:
    assert fleet.devices["two"].function(code.measure)() == 1
    results = fleet.call(code.first_only)
    assert results.values == {"one": 1, "three": 1}
    assert list(results.errors) == ["two"]
    with pytest.raises(FleetError, match=r"failed on 1 of 3 devices\n  two: ValueError: measured before"):
        results.all()
    with pytest.raises(FleetError, match="two: ValueError") as caught:
        raise pickle.loads(pickle.dumps(FleetError(results)))
    assert caught.value.values == {"one": 1, "three": 1}


def test_output_of_each_device_is_there(fleet: Fleet) -> None:
    assert fleet.call(code.speaks).output == {name: ["printed 1", "logged 2"] for name in fleet.devices}


def test_a_deadline_holds_for_each_device(fleet: Fleet) -> None:
    results = fleet.call(code.slow, 30, deadline=0.1)
    assert {type(error) for error in results.errors.values()} == {rexec.remote.JobExpired}


def test_no_function_starts_before_all_devices_are_ready(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[float] = []

    def clock() -> float:
        ready.append(wall_clock())
        return ready[-1]

    monkeypatch.setattr(_fleet, "wall_clock", clock)
    monkeypatch.setattr(_fleet, "_LEAD", 1.0)  # more than a busy machine's error of the offsets
    starts = fleet.call(code.what_time_is_it, together=True).all().values()
    assert len(ready) == 1
    assert min(starts) > ready[0]


def test_results_come_as_they_are_completed(fleet: Fleet) -> None:
    assert sorted(name for name, _ in fleet.as_completed(code.measure)) == ["one", "three", "two"]


def test_it_is_an_executor(fleet: Fleet) -> None:
    assert isinstance(fleet, concurrent.futures.Executor)
    assert list(fleet.map(code.scaled, range(7))) == [0, 3, 6, 9, 12, 15, 18]
    future = fleet.submit(code.scaled, 2)
    assert concurrent.futures.wait([future], timeout=150).done == {future}


def test_asyncio_runs_functions_on_it(fleet: Fleet) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(fleet, code.scaled, x) for x in (1.0, 2.0)))

    assert asyncio.run(main()) == [3, 6]


def test_adaptive_sampling_runs_on_it(fleet: Fleet) -> None:
    adaptive = pytest.importorskip("adaptive", reason="adaptive is not installed: pip install adaptive")
    learner = adaptive.Learner1D(code.peak, (-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=30, executor=fleet, ntasks=3)
    assert len(learner.data) >= 30
    assert max(learner.data.values()) == pytest.approx(1, abs=0.05)


class Starting:
    """A remote that starts a function, and the job, for as long as the test wants."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.asked_to_end = 0

    def function(self, _: Any) -> Any:
        return self

    def submit(self) -> Any:
        self.begun.set()
        self.go.wait(150)
        return self

    def cancel(self) -> bool:
        self.asked_to_end += 1
        return True

    def result(self) -> int:
        return 1


def test_a_function_that_is_being_started_is_asked_to_end_too() -> None:
    remote: Any = Starting()
    workers = Workers({"camera": remote})
    future = workers.submit(int)
    assert remote.begun.wait(150)
    workers.shutdown(wait=False, cancel=True)
    remote.go.set()
    assert future.result(150) == 1
    assert remote.asked_to_end == 1


def test_work_goes_to_whoever_is_free(fleet: Fleet) -> None:
    # The first call keeps one of three busy; the others do the rest meanwhile.
    long = fleet.submit(code.slow, 30)
    assert list(fleet.map(code.scaled, range(20), timeout=150)) == [3 * x for x in range(20)]
    assert not long.done()
    fleet.shutdown(cancel_futures=True)
    with pytest.raises(concurrent.futures.CancelledError):
        long.result(150)
    with pytest.raises(RuntimeError, match="takes no more work"):
        fleet.submit(code.scaled, 1)


def test_a_device_that_is_gone_does_not_fail_the_work_of_the_others(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    gone = fleet.devices["two"]
    gone.close_rpc()
    futures = [fleet.submit(code.scaled, x) for x in range(12)]
    errors = [future.exception(150) for future in futures]
    assert len([error for error in errors if error is not None]) == 1
    assert "two is left out from now on" in caplog.text
    results = fleet.call(code.measure)
    assert sorted(results.values) == ["one", "three"]
    assert "the remote is closed" in str(results.errors["two"])

"""Several controllers as one."""

import concurrent.futures
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import rexec.remote
from rexec.remote import Fleet, FleetError
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import Driver, serving


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


def test_a_deadline_holds_for_each_device(fleet: Fleet) -> None:
    results = fleet.call(code.slow, 30, deadline=0.1)
    assert {type(error) for error in results.errors.values()} == {rexec.remote.JobExpired}


def test_functions_start_together(fleet: Fleet) -> None:
    starts = [began for began, _ in fleet.call(code.overlaps, 0.01, together=True).all().values()]
    # Far less than the lead of the common start.
    assert max(starts) - min(starts) < 0.2


def test_results_come_as_they_are_completed(fleet: Fleet) -> None:
    assert sorted(name for name, _ in fleet.as_completed(code.measure)) == ["one", "three", "two"]


def test_it_is_an_executor(fleet: Fleet) -> None:
    assert isinstance(fleet, concurrent.futures.Executor)
    assert list(fleet.map(code.scaled, range(7))) == [0, 3, 6, 9, 12, 15, 18]
    job = fleet.submit(code.scaled, 2)
    assert concurrent.futures.wait([job], timeout=10).done == {job}

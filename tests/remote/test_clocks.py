"""Controllers whose clocks are wrong: their offsets are found, and time stamps come onto one axis."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import rexec.remote
from rexec.ground.clock import wall_clock
from rexec.remote import Fleet, _fleet
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import REFERENCE, reference_process

CONTROLLER = """
import sys, time
true_time = time.time
time.time = lambda: true_time() + {ahead}
from {library}.remote_exec import simple_rexec_server_loop
class Driver: pass
simple_rexec_server_loop("camera", Driver(), "127.0.0.1", int(sys.argv[1]))
"""
AHEAD = {"one": 3600.25, "two": -40.5, "three": 0.0}
MAKES = [(sys.executable, "rexec"), *((python, "sipyco") for python in REFERENCE)]


@pytest.fixture(params=MAKES, ids=lambda make: make[1])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    python, library = request.param
    with ExitStack() as stack:
        clients = {}
        for name, ahead in AHEAD.items():
            program = CONTROLLER.format(ahead=ahead, library=library)
            port = stack.enter_context(reference_process(python, program))
            clients[name] = Client("127.0.0.1", port, "camera_rexec")
        fleet = stack.enter_context(rexec.remote.fleet(clients))
        yield fleet
        for remote in fleet.devices.values():
            remote.close_rpc()


def test_offsets_merge_time_stamps_and_a_common_start_holds(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = fleet.clock_offsets()
    # The error is at most half of what the fastest question took: on a busy machine far more than on an idle one.
    assert offsets == pytest.approx(AHEAD, abs=5.0)
    ready: list[float] = []

    def clock() -> float:
        ready.append(wall_clock())
        return ready[-1]

    monkeypatch.setattr(_fleet, "wall_clock", clock)
    monkeypatch.setattr(_fleet, "_LEAD", 2.0)
    stamps = fleet.call(code.what_time_is_it, together=True).all()
    assert all(stamp - offsets[name] > ready[0] for name, stamp in stamps.items())

"""The table of leases that is shipped to a stock controller: a lease ends with its connection, or after a silence."""

import gc
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from rexec.devices._lease_agent import GRACE, SILENT, Liveness, lease_request
from tests.clock import set_clock


def holder(name: str) -> dict[str, Any]:
    return {"what": name, "person": "alice", "known": "claimed", "machine": "far away", "pid": 7}


def take(shared: dict[str, Any], connection: dict[str, Any], name: str, exclusive: bool) -> list[str]:
    """Ask for a lease; return who is in its way."""
    found = lease_request(shared, connection, "take", ["camera", name, exclusive, holder(name)])
    return [each["what"] for each in found]


def test_a_lease_ends_with_the_namespace_of_its_connection() -> None:
    shared: dict[str, Any] = {}
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    assert take(shared, first, "a", True) == []
    assert take(shared, second, "b", True) == ["a"]
    assert [each["waiting"] for each in lease_request(shared, second, "present", [""])] == [False, True]
    first.clear()
    assert lease_request(shared, second, "shared", ["camera", "a"]) is None
    assert take(shared, second, "b", True) == []


def test_a_namespace_that_refers_to_itself_ends_its_lease_when_another_client_asks() -> None:
    shared: dict[str, Any] = {}
    first: dict[str, Any] = {}
    first["globals"] = first  # as that of a function has it
    gc.disable()
    try:
        assert take(shared, first, "a", True) == []
        del first
        assert take(shared, {}, "b", True) == []
    finally:
        gc.enable()


def test_a_connection_that_asks_twice_has_one_lease_that_ends_once() -> None:
    shared: dict[str, Any] = {}
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    assert take(shared, first, "a", False) == []
    assert take(shared, second, "b", False) == []
    assert take(shared, first, "a", False) == []
    assert len(first) == 2
    assert [each["what"] for each in lease_request(shared, second, "shared", ["camera", "b"])] == ["a"]
    first.clear()
    assert take(shared, second, "b", True) == []


def test_any_request_renews_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    set_clock(monkeypatch, "rexec.devices._lease_agent", monotonic=lambda: now[0])
    shared: dict[str, Any] = {}
    first: dict[str, Any] = {}
    assert take(shared, first, "a", True) == []
    for _ in range(5):
        now[0] += SILENT
        assert lease_request(shared, first, "shared", ["camera", "a"]) == []
        assert take(shared, {}, "b", True) == ["a"]


def test_silence_and_grace_are_counted_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    set_clock(monkeypatch, "rexec.devices._lease_agent", monotonic=lambda: now[0])
    alive = Liveness(holder("a"))
    now[0] = SILENT
    assert alive()  # and is not suspected yet
    now[0] += GRACE
    assert alive()
    now[0] += GRACE - 1
    assert alive()
    now[0] += 1
    assert not alive()
    alive.renew()
    assert alive()
    alive.end()
    assert not alive()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
def test_a_silent_process_of_the_same_machine_is_there_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    set_clock(monkeypatch, "rexec.devices._lease_agent", monotonic=lambda: now[0])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        alive = Liveness({**holder("a"), "machine": socket.gethostname(), "pid": process.pid})
        elsewhere = Liveness({**holder("a"), "pid": process.pid})
        for _ in range(3):
            now[0] += SILENT + GRACE + 1
            assert alive()
            assert alive.suspected is None
            elsewhere()
        assert not elsewhere()
        process.communicate(b"\n", timeout=150)
    assert alive()
    now[0] += GRACE
    assert not alive()

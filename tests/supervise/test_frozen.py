"""A controller whose process is stopped is said to be frozen at once, and replaced within its own timers."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from rexec.wire.pc_rpc import Client
from tests.serving import free_port
from tests.supervise.controllers import entry, write_controller
from tests.supervise.running import Up, up

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")


def _pid(port: int) -> int:
    with Client("127.0.0.1", port, "lamp") as client:
        return int(client.pid())


class _Waiter:
    """Waits for states of several controllers, whose lines come in any order."""

    def __init__(self, running: Up) -> None:
        self._running = running
        self._done: dict[str, int] = {}

    def wait(self, name: str, state: str) -> dict[str, Any]:
        seen = self._running.seen
        at = self._done.get(name, 0)
        found = next(
            (n for n in range(at, len(seen)) if (seen[n]["name"], seen[n]["state"]) == (name, state)), None
        )
        if found is None:
            self._running.next(name, state)
            found = len(seen) - 1
        self._done[name] = found + 1
        return seen[found]


def test_a_stopped_controller_is_frozen_then_replaced(tmp_path: Path) -> None:
    write_controller(tmp_path)
    ports = free_port(), free_port()
    timers: dict[str, Any] = {"ping_timer": 100.0, "retry_timer": 0.1, "term_timeout": 100.0}
    # The process of the command is a shell; the one that answers is its child.
    wrapped = {"command": "sh -c 'python controller.py {port}; true'", "ping_timeout": 0.5}
    devices = {
        "wrapped": {**entry(ports[0], **timers), **wrapped},
        "paused": entry(ports[1], ping_timeout=100.0, **timers),
        "starting": entry(free_port(), "stops", ping_timeout=0.5, **timers),
    }
    (tmp_path / "device_db.py").write_text(f"device_db = {devices!r}\n")
    with up(tmp_path) as process:
        running = _Waiter(process)
        assert "is stopped" in running.wait("starting", "frozen")["reason"]
        assert "is stopped" in running.wait("starting", "waiting")["reason"]
        running.wait("wrapped", "up")
        running.wait("paused", "up")
        # A connected client does not make it busy.
        with Client("127.0.0.1", ports[0], "lamp") as client:
            pids = client.pid(), _pid(ports[1])
            for name, pid in zip(("wrapped", "paused"), pids, strict=True):
                os.kill(pid, signal.SIGSTOP)
                assert f"process {pid} is stopped" in running.wait(name, "frozen")["reason"]
            assert "is stopped" in running.wait("wrapped", "waiting")["reason"]
            running.wait("wrapped", "up")
        assert _pid(ports[0]) != pids[0]
        os.kill(pids[1], signal.SIGCONT)
        running.wait("paused", "up")
        assert _pid(ports[1]) == pids[1]
        os.kill(pids[1], signal.SIGSTOP)  # the end does not wait for its term_timeout
        running.wait("paused", "frozen")

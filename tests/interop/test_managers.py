"""Stock masters, controller managers and controllers with ours in the place of each.

Needs an interpreter that has ARTIQ and its controller manager (ARTIQ_PYTHON); its communication library makes the stock
controllers, or that of REXEC_PEER_PYTHON where that is set.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from rexec.wire.broadcast import Receiver
from rexec.wire.pc_rpc import Client
from tests.serving import free_port
from tests.supervise.controllers import alive, within
from tests.supervise.running import call, pids, states, up

ARTIQ_PYTHON: Final = os.environ.get("ARTIQ_PYTHON", "")
PEERS: Final = [each for each in os.environ.get("REXEC_PEER_PYTHON", ARTIQ_PYTHON).split(os.pathsep) if each]

needs_artiq = pytest.mark.skipif(
    not Path(ARTIQ_PYTHON).is_file(), reason="ARTIQ_PYTHON names no interpreter that has ARTIQ"
)
pytestmark = pytest.mark.timeout(150)

CONTROLLER: Final = """
import logging, os, sys, time
from {library}.pc_rpc import simple_server_loop

class Driver:
    pings = 0
    def ping(self):
        self.pings += 1
        return True
    def count(self):
        return self.pings
    def pid(self):
        return os.getpid()
    def work(self, seconds):
        time.sleep(seconds)

logging.basicConfig(format="%(levelname)s:%(name)s:%(message)s", level=logging.INFO)
logging.getLogger("lamp").warning("the lamp is cold")
print("printed")
simple_server_loop({{"lamp": Driver()}}, "127.0.0.1", int(sys.argv[1]))
open("ended", "a").write(sys.argv[1] + "\\n")
"""


def write_controller(folder: Path, library: str) -> None:
    """Write a controller made with `rexec.wire` or with `sipyco`, the library of stock ones."""
    (folder / "controller.py").write_text(CONTROLLER.format(library=library))


def entry(port: int, python: str, **further: Any) -> dict[str, Any]:
    return {
        "type": "controller",
        "host": "127.0.0.1",
        "port": port,
        "command": f"{python} controller.py {{port}}",
        "ping_timer": 0.5,
        "ping_timeout": 1.0,
        "term_timeout": 5.0,
        "retry_timer": 0.5,
        **further,
    }


class Master:
    """A stock master; can be killed and started again on the same ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notify, self.control, self.logging, self.broadcast = (free_port() for _ in range(4))
        (folder / "repository").mkdir()
        self.start()

    def start(self) -> None:
        words = [
            ARTIQ_PYTHON,
            "-m",
            "artiq.frontend.artiq_master",
            "--no-localhost-bind",
            "--bind",
            "127.0.0.1",
        ]
        for name in ("notify", "control", "logging", "broadcast"):
            words += [f"--port-{name}", str(getattr(self, name))]
        with (self.folder / "master.log").open("a") as log:
            self.process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)
        assert within(60, self.answers), (self.folder / "master.log").read_text()

    def answers(self) -> bool:
        try:
            Client("127.0.0.1", self.control, None).close_rpc()
        except ConnectionError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def scan(self) -> None:
        """Have it read its device database again."""
        with Client("127.0.0.1", self.control, None) as client:
            names = client.get_rpc_id()[0]
            client.select_rpc_target(next(each for each in names if each.endswith("device_db")))
            client.scan()

    def devices(self, raw: object) -> None:
        """Write its device database, and have it read."""
        write(self.folder, raw)
        self.scan()


def write(folder: Path, raw: object) -> None:
    if isinstance(raw, dict):
        raw = {"core": {"type": "local", "module": "a", "class": "B"}, **raw}
    (folder / "device_db.py").write_text(f"device_db = {raw!r}\n")


@contextmanager
def master(folder: Path, raw: dict[str, Any]) -> Iterator[Master]:
    write(folder, raw)
    running = Master(folder)
    try:
        yield running
    finally:
        running.kill()


def follow(running: Master) -> list[str]:
    """Arguments with which `rexec up` follows a master."""
    ports = ["--master-port", str(running.control), "--master-port-notify", str(running.notify)]
    return ["--master", "127.0.0.1", *ports, "--folder", str(running.folder)]


@needs_artiq
def test_the_stock_manager_supervises_a_controller_of_ours(tmp_path: Path) -> None:
    write_controller(tmp_path, "rexec.wire")
    port, own = free_port(), free_port()
    # It pings without having waited for the controller to answer first.
    lamp = entry(port, sys.executable, ping_timer=3.0, ping_timeout=10.0)
    with master(tmp_path, {"lamp": lamp}) as running:
        words = [ARTIQ_PYTHON, "-m", "artiq_comtools.artiq_ctlmgr", "-s", "127.0.0.1"]
        words += ["--port-notify", str(running.notify), "--port-logging", str(running.logging)]
        words += ["--port-control", str(own), "--no-localhost-bind", "--bind", "127.0.0.1", "-v"]
        root = str(Path(__file__).parents[2])
        with (tmp_path / "manager.log").open("w") as log:
            manager = subprocess.Popen(
                words, cwd=tmp_path, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": root}
            )
        try:

            def pings() -> int:
                try:
                    return int(call(port, "count"))
                except ConnectionError:
                    return 0

            said = tmp_path / "manager.log"
            assert within(40, lambda: pings() >= 2), said.read_text()
            first = call(port, "pid")
            os.kill(first, signal.SIGKILL)
            assert within(20, lambda: pings() >= 1), said.read_text()
            second = call(port, "pid")
            assert second != first
            assert "the lamp is cold" in said.read_text()
        finally:
            manager.send_signal(signal.SIGTERM)
            manager.wait(30)
        assert within(10, lambda: not alive(second))
        # The second one was asked to end, and has come to its end.
        assert (tmp_path / "ended").read_text() == f"{port}\n"


@pytest.mark.skipif(not PEERS, reason="neither REXEC_PEER_PYTHON nor ARTIQ_PYTHON is set")
@pytest.mark.parametrize("python", PEERS)
def test_ours_supervises_a_stock_controller(tmp_path: Path, python: str) -> None:
    write_controller(tmp_path, "sipyco")
    port = free_port()
    (tmp_path / "device_db.py").write_text(f"device_db = { ({'lamp': entry(port, python)})!r}\n")
    with up(tmp_path, "--log-dir", "logs") as running:
        first = running.next("lamp", "up", 40)
        assert within(10, lambda: call(port, "count") >= 3)
        # A stock server does not even shake hands in a call: it is left alone while its client is connected.
        work = threading.Thread(target=call, args=(port, "work", 6.0))
        work.start()
        assert (
            "hung (it does not even shake hands); connected: 127.0.0.1:"
            in running.next("lamp", "busy")["reason"]
        )
        work.join(20)
        assert running.next("lamp", "up")["pid"] == first["pid"]
        os.kill(first["pid"], signal.SIGKILL)
        assert running.next("lamp", "waiting")["reason"].startswith("was ended by SIGKILL")
        second = running.next("lamp", "up", 40)
        assert running.end(signal.SIGTERM) == 0
        assert not alive(second["pid"])
    assert (tmp_path / "ended").read_text() == f"{port}\n"
    log = (tmp_path / "logs" / "lamp.log").read_text()
    assert "WARNING lamp:the lamp is cold" in log
    assert "INFO printed" in log


@needs_artiq
def test_a_stock_master_feeds_ours_and_may_die(tmp_path: Path) -> None:
    write_controller(tmp_path, "rexec.wire")
    raw = {"a": entry(free_port(), sys.executable), "b": entry(free_port(), sys.executable)}
    with master(tmp_path, {"a": raw["a"]}) as running, up(tmp_path, *follow(running)) as ours:
        pid = ours.next("a", "up", 40)["pid"]
        running.kill()
        assert within(20, lambda: "is gone; the controllers go on as before" in ours.err())
        running.start()
        running.devices(raw)
        ours.next("b", "up", 40)
        before = pids(ours)
        assert before["a"] == pid
        # The master takes `[]` for an empty database, and says so to its followers entry by entry.
        with pytest.raises(AttributeError):
            running.devices([])
        assert within(20, lambda: "has no devices any more. The controllers go on as before" in ours.err())
        assert pids(ours) == before
        running.devices({"b": raw["b"]})
        assert within(20, lambda: states(ours) == {"b": "up"})
        assert pids(ours)["b"] == before["b"]


@needs_artiq
def test_logs_reach_a_stock_master(tmp_path: Path) -> None:
    write_controller(tmp_path, "rexec.wire")
    heard: list[Any] = []
    with master(tmp_path, {"lamp": entry(free_port(), sys.executable)}) as running:
        with listening(running.broadcast, heard):
            logs = ["--forward-logs", "127.0.0.1", "--master-port-logging", str(running.logging)]
            with up(tmp_path, *follow(running), *logs) as ours:
                ours.next("lamp", "up", 40)
                os.kill(pids(ours)["lamp"], signal.SIGKILL)
                ours.next("lamp", "waiting")
                assert within(20, lambda: any("was ended by SIGKILL" in each[3] for each in heard)), heard
    found = {(level, source, text.splitlines()[0]) for level, source, _, text in heard}
    assert (30, "controller(lamp)", "lamp:the lamp is cold") in found
    assert (20, "controller(lamp)", "print:printed") in found
    (said,) = {text for level, source, text in found if level == 30 and "SIGKILL" in text}
    assert said.startswith("rexec.up:lamp at 127.0.0.1:")


@contextmanager
def listening(port: int, heard: list[Any]) -> Iterator[None]:
    """Receive what a master broadcasts as its log."""
    loop = asyncio.new_event_loop()
    receiver = Receiver("log", [heard.append])
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(receiver.connect("127.0.0.1", port), loop).result(20)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(receiver.close(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@needs_artiq
def test_what_stock_clients_ask_of_a_manager_is_there(tmp_path: Path) -> None:
    write_controller(tmp_path, "rexec.wire")
    port = free_port()
    late = entry(port, sys.executable, command=f"{sys.executable} late.py {{port}}", retry_timer=100.0)
    (tmp_path / "device_db.py").write_text(f"device_db = { ({'lamp': late})!r}\n")
    tool = [ARTIQ_PYTHON, "-m", "sipyco.sipyco_rpctool", "127.0.0.1"]
    with up(tmp_path) as ours:
        ours.next("lamp", "waiting")
        (tmp_path / "controller.py").rename(tmp_path / "late.py")
        began = time.monotonic()
        retry = [*tool, str(ours.control), "call", "-t", "ctlmgr", "retry_now", '"lamp"']
        subprocess.run(retry, check=True, timeout=30, capture_output=True)
        ours.next("lamp", "up", 40)
        assert time.monotonic() - began < 90
        end = [*tool, str(ours.control), "call", "-t", "ctlmgr", "terminate"]
        subprocess.run(end, check=True, timeout=30, capture_output=True)
        assert ours.process.wait(30) == 0

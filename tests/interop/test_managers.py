"""Stock masters, controller managers and controllers with ours in the place of each.

Needs interpreters that have ARTIQ and its controller manager (ARTIQ_PYTHON); the communication library of these makes
the stock controllers, or that of REXEC_PEER_PYTHON where that is set.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from rexec.ground.loop_thread import LoopThread
from rexec.wire import certs
from rexec.wire.broadcast import Receiver
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.interop.artiq import EACH, PYTHONS, Program, program, release
from tests.serving import free_port
from tests.supervise.controllers import alive
from tests.supervise.running import call, pids, states, up
from tests.waiting import within

PEERS: Final = [each for each in os.environ.get("REXEC_PEER_PYTHON", "").split(os.pathsep) if each] or PYTHONS

each_artiq = pytest.mark.parametrize("python", EACH)

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
        "ping_timeout": 3.0,
        "term_timeout": 5.0,
        "retry_timer": 0.5,
        **further,
    }


class Master:
    """A stock master; can be killed and started again on the same ports."""

    def __init__(self, python: str, folder: Path, tls: certs.CertificateSet | None) -> None:
        self.folder, self.python = folder, python
        self.ports = {name: free_port() for name in ("notify", "control", "logging", "broadcast")}
        self._words = ["--no-localhost-bind", "--bind", "127.0.0.1"]
        self._client: SimpleSSLConfig | None = None
        if tls is not None:
            self._words += ["--ssl", str(tls.server.cert), str(tls.server.key), str(tls.trusted_clients)]
            us = tls.clients["us"]
            self._client = SimpleSSLConfig(str(us.cert), str(us.key), str(tls.server.cert))
        for name, port in self.ports.items():
            self._words += [f"--port-{name}", str(port)]
        (folder / "repository").mkdir()
        self.start()

    def start(self) -> None:
        self.program = Program(self.python, "artiq.frontend.artiq_master", *self._words, folder=self.folder)
        try:
            assert within(150, self.answers), self.program.output
        except BaseException:
            self.kill()
            raise

    def answers(self) -> bool:
        try:
            Client("127.0.0.1", self.ports["control"], None, ssl_config=self._client).close_rpc()
        except ConnectionError:
            return False
        return True

    def kill(self) -> None:
        self.program.end(signal.SIGKILL)

    def devices(self, raw: object) -> None:
        """Write its device database, and have it read."""
        write(self.folder, raw)
        with Client("127.0.0.1", self.ports["control"], None, ssl_config=self._client) as client:
            names = client.get_rpc_id()[0]
            client.select_rpc_target(next(each for each in names if each.endswith("device_db")))
            client.scan()


def write(folder: Path, raw: object) -> None:
    if isinstance(raw, dict):
        raw = {"core": {"type": "local", "module": "a", "class": "B"}, **raw}
    (folder / "device_db.py").write_text(f"device_db = {raw!r}\n")


@contextmanager
def master(
    python: str, folder: Path, raw: dict[str, Any], tls: certs.CertificateSet | None = None
) -> Iterator[Master]:
    write(folder, raw)
    running = Master(python, folder, tls)
    try:
        yield running
    finally:
        running.kill()


def follow(running: Master) -> list[str]:
    """Arguments with which `rexec up` follows a master."""
    ports = [
        "--master-port",
        str(running.ports["control"]),
        "--master-port-notify",
        str(running.ports["notify"]),
    ]
    return ["--master", "127.0.0.1", *ports, "--folder", str(running.folder)]


@each_artiq
def test_the_stock_manager_supervises_a_controller_of_ours(tmp_path: Path, python: str) -> None:
    write_controller(tmp_path, "rexec.wire")
    port, own = free_port(), free_port()
    # It pings without having waited for the controller to answer first.
    lamp = entry(port, sys.executable, ping_timer=3.0, ping_timeout=10.0)
    with master(python, tmp_path, {"lamp": lamp}) as running:
        words = [
            "-s",
            "127.0.0.1",
            "--port-control",
            str(own),
            "--no-localhost-bind",
            "--bind",
            "127.0.0.1",
            "-v",
        ]
        words += [
            "--port-notify",
            str(running.ports["notify"]),
            "--port-logging",
            str(running.ports["logging"]),
        ]

        def pings() -> int:
            try:
                return int(call(port, "count"))
            except ConnectionError:
                return 0

        with program(python, "artiq_comtools.artiq_ctlmgr", *words, folder=tmp_path) as manager:
            assert within(150, lambda: pings() >= 2), manager.output
            first = call(port, "pid")
            os.kill(first, signal.SIGKILL)
            assert within(150, lambda: pings() >= 1), manager.output
            second = call(port, "pid")
            assert second != first
            assert "the lamp is cold" in manager.output
        assert within(150, lambda: not alive(second))
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
        assert within(150, lambda: call(port, "count") >= 3)
        # A stock server does not even shake hands in a call: it is left alone while its client is connected.
        work = threading.Thread(target=call, args=(port, "work", 8.0))
        work.start()
        assert (
            "hung (it does not shake hands); connected: 127.0.0.1:" in running.next("lamp", "busy")["reason"]
        )
        work.join(150)
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


@each_artiq
def test_a_stock_master_feeds_ours_and_may_die(tmp_path: Path, python: str) -> None:
    write_controller(tmp_path, "rexec.wire")
    raw = {"a": entry(free_port(), sys.executable), "b": entry(free_port(), sys.executable)}
    with master(python, tmp_path, {"a": raw["a"]}) as running, up(tmp_path, *follow(running)) as ours:
        pid = ours.next("a", "up", 40)["pid"]
        running.kill()
        assert within(150, lambda: "is gone; the controllers keep running" in ours.err())
        running.start()
        running.devices(raw)
        ours.next("b", "up", 40)
        before = pids(ours)
        assert before["a"] == pid
        # The master takes `[]` for an empty database, and says so to its followers entry by entry.
        with pytest.raises(AttributeError):
            running.devices([])
        assert within(150, lambda: "has no devices any more. The controllers keep running" in ours.err())
        assert pids(ours) == before
        running.devices({"b": raw["b"]})
        assert within(150, lambda: states(ours) == {"b": "up"})
        assert pids(ours)["b"] == before["b"]


@each_artiq
@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_logs_reach_a_stock_master(tmp_path: Path, python: str, is_secure: bool) -> None:
    if is_secure and release(python) < 9:
        pytest.skip("masters before ARTIQ 9 have no TLS")
    write_controller(tmp_path, "rexec.wire")
    heard: list[Any] = []
    made = certs.make_set(tmp_path / "tls", ["us"]) if is_secure else None
    us = made.clients["us"] if made is not None else None
    files = [str(us.cert), str(us.key), str(made.server.cert)] if made is not None and us is not None else []
    secure = ["--ssl", *files] if files else []
    with master(python, tmp_path, {"lamp": entry(free_port(), sys.executable)}, made) as running:
        with listening(running.ports["broadcast"], heard, SimpleSSLConfig(*files) if files else None):
            logs = ["--forward-logs", "127.0.0.1", "--master-port-logging", str(running.ports["logging"])]
            with up(tmp_path, *follow(running), *logs, *secure) as ours:
                ours.next("lamp", "up", 40)
                os.kill(pids(ours)["lamp"], signal.SIGKILL)
                ours.next("lamp", "waiting")
                assert within(150, lambda: any("was ended by SIGKILL" in each[3] for each in heard)), heard
    found = {(level, source, text.splitlines()[0]) for level, source, _, text in heard}
    assert (30, "controller(lamp)", "lamp:the lamp is cold") in found
    assert (20, "controller(lamp)", "print:printed") in found
    (said,) = {text for level, source, text in found if level == 30 and "SIGKILL" in text}
    assert said.startswith("rexec.up:lamp at 127.0.0.1:")


@contextmanager
def listening(port: int, heard: list[Any], tls: SimpleSSLConfig | None) -> Iterator[None]:
    """Receive what a master broadcasts as its log."""

    @asynccontextmanager
    async def receiving() -> AsyncIterator[None]:
        receiver = Receiver("log", [heard.append])
        await receiver.connect("127.0.0.1", port, tls)
        try:
            yield
        finally:
            await receiver.close()

    with LoopThread(receiving, name="receiver"):
        yield


@each_artiq
def test_what_stock_clients_ask_of_a_manager_is_there(tmp_path: Path, python: str) -> None:
    write_controller(tmp_path, "rexec.wire")
    port = free_port()
    late = entry(port, sys.executable, command=f"{sys.executable} late.py {{port}}", retry_timer=1000.0)
    (tmp_path / "device_db.py").write_text(f"device_db = { ({'lamp': late})!r}\n")
    tool = [python, "-W", "ignore", "-m", "sipyco.sipyco_rpctool", "127.0.0.1"]
    with up(tmp_path) as ours:
        ours.next("lamp", "waiting")
        (tmp_path / "controller.py").rename(tmp_path / "late.py")
        retry = [*tool, str(ours.control), "call", "-t", "ctlmgr", "retry_now", '"lamp"']
        subprocess.run(retry, check=True, timeout=150, capture_output=True)
        ours.next("lamp", "up", 40)
        end = [*tool, str(ours.control), "call", "-t", "ctlmgr", "terminate"]
        subprocess.run(end, check=True, timeout=150, capture_output=True)
        assert ours.process.wait(150) == 0

"""`rexec up`, the real program: starts, watches, restarts and ends controllers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from rexec.ground.loop_thread import LoopThread
from rexec.wire.errors import CallTimeout
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import AutoTarget, Client, Server
from rexec.wire.sync_struct import Notifier, Publisher
from tests.ending import interrupt
from tests.serving import free_port, silent
from tests.supervise.controllers import alive, write_controller
from tests.supervise.running import call, pids, states, up, write
from tests.waiting import within

FOR_LINUX = pytest.mark.skipif(os.name == "nt", reason="systemd starts programs of Linux")

CONTROLLER = """
import os, sys, time
from rexec.wire.pc_rpc import simple_server_loop

class Driver:
    well = True
    def ping(self):
        return self.well
    def pid(self):
        return os.getpid()
    def fall_ill(self):
        self.well = False
    def work(self, seconds):
        open("working", "w").close()
        time.sleep(seconds)
    def hold(self):
        while not os.path.exists("go on"):
            time.sleep(0.02)
    def die(self):
        print("the lamp has exploded", flush=True)
        os._exit(7)

simple_server_loop({"lamp": Driver()}, "127.0.0.1", int(sys.argv[1]))
"""


def entry(port: int, **further: Any) -> dict[str, Any]:
    base = {"type": "controller", "host": "127.0.0.1", "port": port, "command": "python controller.py {port}"}
    return {
        **base,
        "ping_timer": 0.3,
        "ping_timeout": 2.0,
        "term_timeout": 2.0,
        "retry_timer": 0.3,
        **further,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "controller.py").write_text(CONTROLLER)
    return tmp_path


def test_controllers_run_until_they_are_ended_in_reverse_order(folder: Path) -> None:
    ports = free_port(), free_port()
    write(folder, {"a": entry(ports[0]), "b": entry(ports[1]), "off": entry(1, command=None), "eye": "a"})
    with up(folder) as running:
        pids = [running.next("a", "up")["pid"]]
        status = call(running.control, "status")
        assert [each["name"] for each in status] == ["a", "b"]
        assert within(150, lambda: all(each["state"] == "up" for each in call(running.control, "status")))
        pids = [each["pid"] for each in call(running.control, "status")]
        assert all(alive(pid) for pid in pids)
        assert all(each["memory"] > 1e6 for each in call(running.control, "status"))
        assert running.end(signal.SIGTERM) == 0
        assert not any(alive(pid) for pid in pids)
        assert "off: not run here: it has no command" in running.err()


def test_names_limit_what_runs(folder: Path) -> None:
    write(folder, {"a": entry(free_port()), "b": entry(free_port()), "eye": "a"})
    with up(folder, "eye") as running:
        running.next("a", "up")
        assert [each["name"] for each in call(running.control, "status")] == ["a"]


def test_a_controller_that_dies_is_restarted_and_its_last_words_are_shown(folder: Path) -> None:
    port = free_port()
    write(folder, {"a": entry(port)})
    with up(folder) as running:
        first = running.next("a", "up")
        with pytest.raises(ConnectionError):
            call(port, "die")
        reason = running.next("a", "waiting")["reason"]
        assert "ended with exit status 7" in reason
        assert "the lamp has exploded" in reason
        again = running.next("a", "up")
        assert again["pid"] != first["pid"]
        assert again["restarts"] == 1


def test_a_controller_that_is_not_well_is_restarted(folder: Path) -> None:
    port = free_port()
    write(folder, {"a": entry(port)})
    with up(folder) as running:
        running.next("a", "up")
        call(port, "fall_ill")
        assert "reports a problem" in running.next("a", "waiting")["reason"]
        running.next("a", "up")


def test_a_busy_controller_is_left_alone(folder: Path) -> None:
    port = free_port()
    write(folder, {"a": entry(port)})
    with up(folder) as running:
        first = running.next("a", "up")
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(call, port, "hold")
            try:
                reason = running.next("a", "busy")["reason"]
            finally:
                (folder / "go on").touch()
            held.result(150)
        assert "in a call (it still shakes hands); connected: 127.0.0.1:" in reason
        assert f"(pid {os.getpid()}: " in reason
        assert running.next("a", "up")["pid"] == first["pid"]


def test_a_busy_one_is_restarted_after_its_limit_or_by_hand(folder: Path) -> None:
    ports = free_port(), free_port()
    write(folder, {"a": entry(ports[0], busy_limit=2.5), "b": entry(ports[1])})
    with up(folder) as running:
        assert within(150, lambda: states(running) == {"a": "up", "b": "up"})
        before = pids(running)
        calls = [threading.Thread(target=interrupted, args=(port,)) for port in ports]
        for each in calls:
            each.start()
        assert within(150, lambda: states(running)["b"] == "busy")
        assert "longer than its busy_limit of 2.5 s" in running.next("a", "waiting")["reason"]
        assert pids(running)["b"] == before["b"]
        call(running.control, "restart", "b")
        for each in calls:
            each.join(150)
        assert within(150, lambda: states(running) == {"a": "up", "b": "up"})


def interrupted(port: int) -> None:
    """Make a long call that does not come to its end."""
    # The server is gone, or its second signal has ended the method.
    with pytest.raises((ConnectionError, GenericRemoteException)):
        call(port, "work", 60.0)


def test_ctrl_c_does_not_wait_for_a_ping(folder: Path) -> None:
    port = free_port()
    write(folder, {"a": entry(port, ping_timeout=600.0, term_timeout=0.5)})
    with up(folder) as running:
        running.next("a", "up")
        thread = threading.Thread(target=interrupted, args=(port,))
        thread.start()
        time.sleep(0.5)
        assert running.end() == 0
        thread.join(150)


def test_one_that_hangs_without_a_client_is_restarted(folder: Path) -> None:
    port = free_port()
    write(folder, {"a": entry(port)})
    with up(folder) as running:
        pid = running.next("a", "up")["pid"]
        # A call that is given up before the controller has read it is not begun.
        assert within(150, lambda: given_up(port) and (folder / "working").exists())
        assert "no answer to a ping" in running.next("a", "waiting")["reason"]
        assert running.next("a", "up")["pid"] != pid


def given_up(port: int) -> bool:
    """Make a long call, and go away before its end."""
    with Client("127.0.0.1", port, AutoTarget) as client, pytest.raises(CallTimeout):
        client.rpc_call("work", (60.0,), timeout=0.2)
    return True


def test_a_port_in_use_names_the_process(folder: Path) -> None:
    with silent() as port:
        write(folder, {"a": entry(port)})
        with up(folder) as running:
            reason = running.next("a", "waiting")["reason"]
            assert f"the port is in use: pid {os.getpid()} (" in reason


def test_a_change_of_the_file_touches_only_what_changed_and_a_bad_file_nothing(folder: Path) -> None:
    raw = {"a": entry(free_port()), "b": entry(free_port())}
    write(folder, raw)
    with up(folder) as running:
        assert within(150, lambda: states(running) == {"a": "up", "b": "up"})
        before = pids(running)
        write(folder, [])
        assert within(150, lambda: "keep running" in running.err())
        assert pids(running) == before
        write(folder, {"a": raw["a"], "b": entry(raw["b"]["port"], comment="x", ping_timer=0.4)})
        assert within(150, lambda: pids(running).get("b") not in (None, before["b"]))
        assert pids(running)["a"] == before["a"]
        write(folder, {"a": raw["a"]})
        assert within(150, lambda: states(running) == {"a": "up"})
        assert pids(running)["a"] == before["a"]


def test_no_orphans_after_kill_9(folder: Path) -> None:
    write(folder, {"a": entry(free_port()), "b": entry(free_port())})
    with up(folder) as running:
        assert within(150, lambda: states(running) == {"a": "up", "b": "up"})
        children = pids(running).values()
        running.end(9)
        assert within(150, lambda: not any(alive(pid) for pid in children))


SEVERAL = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
subprocess.call([sys.executable, "lamp.py", sys.argv[1], "stubborn"], stderr=2)
"""


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        pytest.param("python lamp.py {port} stubborn", 1, id="ignores SIGTERM"),
        pytest.param(
            'cmd /c "python lamp.py {port} good & rem"'
            if os.name == "nt"
            else "sh -c 'python lamp.py {port} good; true'",
            2,
            id="grandchild of a shell",
        ),
        pytest.param("python several.py {port}", 3, id="several, stubborn"),
    ],
)
def test_whatever_a_command_has_started_ends_with_a_killed_supervisor_and_its_port_is_free(
    folder: Path, command: str, processes: int
) -> None:
    write_controller(folder).rename(folder / "lamp.py")
    (folder / "several.py").write_text(SEVERAL)
    write(folder, {"a": entry(free_port(), command=command, ping_timeout=5.0)})
    with up(folder) as running:
        first = running.next("a", "starting")
        assert first["pid"] is None
        assert within(150, lambda: "lamp is cold" in running.err() or states(running) == {"a": "up"})
        started = [
            each.pid
            for each in psutil.Process(running.process.pid).children(recursive=True)
            if "_guardian" not in " ".join(each.cmdline())
        ]
        # Windows' `python` of a virtual environment is a process that starts another.
        assert len(started) == processes or (os.name == "nt" and len(started) > processes)
        running.end(9)
        assert within(150, lambda: not any(alive(pid) for pid in started))
    with up(folder) as again:
        assert again.next("a", "starting")["restarts"] == 0


def test_a_client_can_hurry_an_attempt_and_end_it_all(folder: Path) -> None:
    (folder / "controller.py").rename(folder / "later.py")
    write(folder, {"a": entry(free_port(), retry_timer=60.0)})
    with up(folder) as running:
        assert "exit status 2" in running.next("a", "waiting")["reason"]
        (folder / "later.py").rename(folder / "controller.py")
        with pytest.raises(KeyError, match="no controller 'x'"):
            call(running.control, "retry_now", "x")
        call(running.control, "retry_now", "a")
        running.next("a", "up")
        pid = pids(running)["a"]
        call(running.control, "retry_now", "a")  # it runs: nothing to do
        call(running.control, "restart", "a")
        assert "restarted on request" in running.next("a", "waiting")["reason"]
        assert running.next("a", "up")["pid"] != pid
        call(running.control, "terminate")
        assert running.process.wait(150) == 0


def test_a_reader_that_goes_away_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # a buffer keeps what could not be written
    port = free_port()
    write(folder, {"a": entry(port)})
    words = [sys.executable, "-P", "-m", "rexec", "up", "--port-control", str(free_port())]
    with subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == f"a at 127.0.0.1:{port}: starting\n"
        running.stdout.close()
        assert within(150, lambda: answers(port))
        pid = call(port, "pid")
        os.kill(pid, 9)
        assert within(150, lambda: answers(port) and call(port, "pid") != pid)
        interrupt(running, signal.SIGTERM)
        assert running.wait(150) == 0
        assert running.stderr is not None
        assert "changes are no longer printed: Broken pipe" in running.stderr.read()


def answers(port: int) -> bool:
    try:
        return bool(call(port, "ping"))
    except ConnectionError:
        return False


def test_output_goes_to_files(folder: Path) -> None:
    write(folder, {"a": entry(free_port(), command="python -c \"print('no lamp')\"")})
    with up(folder, "--log-dir", "logs") as running:
        assert "no lamp" in running.next("a", "waiting")["reason"]
        assert within(150, lambda: "INFO no lamp" in (folder / "logs" / "a.log").read_text())


def test_a_control_port_in_use_is_said(folder: Path) -> None:
    write(folder, {})
    with silent() as port:
        command = [sys.executable, "-P", "-m", "rexec", "up", "--port-control", str(port)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert done.returncode == 2
    assert f"control port {port} cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr


class Master:
    """Serves what a supervisor asks of a master."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.notifier: Any = Notifier(dict(raw))
        self.thread = LoopThread(self._serving, name="master under test")
        self.ports = self.thread.start()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[tuple[int, int]]:
        server = Server({"device_db": self})
        await server.start("127.0.0.1", 0)
        await self._publish(0)
        yield server.port, self.publisher.port
        await self.publisher.stop()
        await server.stop()

    async def _publish(self, port: int) -> None:
        self.publisher = Publisher({"devices": self.notifier})
        await self.publisher.start("127.0.0.1", port)

    def get_device_db(self) -> dict[str, Any]:
        return self.raw

    def restart(self) -> None:
        self.thread.call(self._restart)

    async def _restart(self) -> None:
        await self.publisher.stop()
        await self._publish(self.ports[1])

    async def _set(self, name: str, value: Any) -> None:
        self.notifier[name] = value

    def set(self, name: str, value: Any) -> None:
        self.thread.call(self._set, name, value)

    def close(self) -> None:
        self.thread.close()


def test_a_masters_devices_are_followed_and_a_lost_connection_restarts_nothing(folder: Path) -> None:
    master = Master({"a": entry(free_port())})
    try:
        control, notify = map(str, master.ports)
        arguments = ("--master", "127.0.0.1", "--master-port", control, "--master-port-notify", notify)
        with up(folder, *arguments) as running:
            pid = running.next("a", "up")["pid"]
            master.restart()
            assert within(150, lambda: "is gone; the controllers keep running" in running.err())
            time.sleep(2.5)
            master.set("b", entry(free_port()))
            running.next("b", "up")
            assert pids(running)["a"] == pid
    finally:
        master.close()


@pytest.mark.parametrize("kind", [pytest.param("systemd", marks=FOR_LINUX), "supervisord", "compose"])
def test_configuration_is_written_and_nothing_started(folder: Path, kind: str) -> None:
    write(folder, {"a": entry(free_port()), "off": entry(1, command=None)})
    command = [sys.executable, "-P", "-m", "rexec", "up", "--export", kind]
    done = subprocess.run(
        [*command, "--output", "conf"], cwd=folder, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    (written,) = (folder / "conf").iterdir()
    assert Path(done.stdout.strip()) == Path("conf", written.name)
    assert "controller-a" in written.name + written.read_text()
    assert "off: not run here: it has no command" in done.stderr
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert printed.stdout == f"# {written.name}\n{written.read_text()}\n"


@FOR_LINUX
def test_an_export_that_lacks_a_controller_with_a_wrong_entry_says_so(folder: Path) -> None:
    write(folder, {"a": entry(free_port()), "bad": entry(1, command="{nothing}")})
    command = [sys.executable, "-P", "-m", "rexec", "up", "--export", "systemd", "--output", "conf"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert done.returncode == 1
    assert "bad: not run here: " in done.stderr
    assert [each.name for each in (folder / "conf").iterdir()] == ["controller-a.service"]


def test_a_pipe_that_nobody_reads_delays_no_controller(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # a buffer has a lock, for which the end may wait
    (folder / "fails.py").write_text("print('x' * 4000)\nraise SystemExit(3)\n")
    write(folder, {"a": entry(free_port(), command="python fails.py {port}", retry_timer=0.01)})
    control = free_port()
    command = [sys.executable, "-P", "-m", "rexec", "up", "--json", "--port-control", str(control)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        try:
            # Each attempt prints over 4 kB; a pipe holds 64 kB.
            assert within(150, lambda: (restarts(control) or 0) > 20)
            interrupt(running, signal.SIGTERM)
            assert running.wait(150) == 0
        finally:
            running.kill()


def restarts(port: int) -> int | None:
    try:
        return int(call(port, "status")[0]["restarts"])
    except (OSError, IndexError):
        return None

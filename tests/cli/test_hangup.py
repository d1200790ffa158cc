"""Commands that serve end in order when their terminal is lost; `nohup` keeps its meaning."""

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from rexec.wire.pc_rpc import Client
from tests.cli.terminal import Terminal, terminal
from tests.master.masters import serving
from tests.serving import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminals that hang up")

CONTROLLER = """
import sys
from rexec.wire.pc_rpc import simple_server_loop
class Lamp:
    def ping(self):
        return True
simple_server_loop({"lamp": Lamp()}, "127.0.0.1", int(sys.argv[1]))
"""
PORTS = ("--port-notify=0", "--port-control=0", "--port-logging=0", "--port-broadcast=0")
IGNORING = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"


def test_a_lost_terminal_ends_each_command_in_order(tmp_path: Path) -> None:
    (tmp_path / "controller.py").write_text(CONTROLLER)
    lamp = {
        "type": "controller",
        "host": "127.0.0.1",
        "port": free_port(),
        "command": "python controller.py {port}",
    }
    (tmp_path / "device_db.py").write_text(f"device_db = {{'lamp': {lamp}}}\n")
    (tmp_path / "other").mkdir()
    with ExitStack() as stack:
        served = stack.enter_context(serving(tmp_path / "other"))
        with served.client("dataset_db") as client:
            client.set("x", 1.0)

        def start(*words: str) -> Terminal:
            command = (sys.executable, "-P", "-m", "rexec", *words)
            return stack.enter_context(terminal(*command, environment={}, folder=tmp_path))

        at = f"--master-port-notify={served.port('notify')}"
        commands = {
            start("up", "--port-control=0"): r"\bup\b",
            start("bridge", "--master=127.0.0.1", at): "1 datasets",
            start("master", *PORTS): "ready",
            start("simulate", "--loopback"): "Ctrl-C ends it",
        }
        for shown, ready in commands.items():
            shown.expect(ready)
        up = psutil.Process(next(iter(commands)).process.pid)
        (controller,) = [each for each in up.children(recursive=True) if "controller.py" in each.cmdline()]
        for shown in commands:
            shown.hang_up()
        assert [shown.end() for shown in commands] == [0, 0, 0, 0]
        assert not controller.is_running()
        assert [each.name for each in (tmp_path / "bridge").iterdir() if not each.name.startswith(".")] == [
            "datasets.h5"
        ]


def test_under_nohup_a_lost_terminal_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    command = (sys.executable, "-c", IGNORING, sys.executable, "-P", "-m", "rexec", "master", *PORTS)
    with terminal(*command, environment={}, folder=tmp_path) as shown:
        port = int(shown.expect(r"control: 127\.0\.0\.1:(\d+)")[1])
        shown.expect(r"ready\.\s")  # the whole line: the rest of it could not be written any more
        shown.hang_up()
        shown.process.send_signal(signal.SIGHUP)
        with Client("127.0.0.1", port, "master_management") as client:
            assert client.status()["devices"][0] == 0
        shown.process.terminate()
        assert shown.end() == 0

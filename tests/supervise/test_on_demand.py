"""Controllers are started when a device needs them, and ended with the run, however that ends."""

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from devicedb import CommandTemplateError, from_dict
from rexec.devices import DeviceManager, DeviceUnreachable
from rexec.supervise import ControllerStartError, OnDemand
from rexec.supervise.guardian import Guardian
from rexec.supervise.process import ControllerProcess
from tests.serving import free_port, serving
from tests.supervise.controllers import alive, entry, write_controller
from tests.waiting import within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_controller(tmp_path)
    return tmp_path


def on_demand(raw: dict[str, Any], folder: Path, timeout: float = 150.0) -> tuple[OnDemand, DeviceManager]:
    database = from_dict(raw, "device_db.py")
    starter = OnDemand(database, folder, timeout)
    return starter, DeviceManager(database, before_connect=starter.ensure)


def test_a_controller_is_started_for_its_device_and_ended(folder: Path) -> None:
    raw = {"lamp": entry(free_port(), environment={"LAMP_KEY": "x"}), "light": "lamp"}
    starter, devices = on_demand(raw, folder)
    with starter, devices:
        lamp = devices.get("light")
        assert Path(lamp.where()) == folder
        assert lamp.variable("PYTHONUNBUFFERED") == "1"
        assert lamp.variable("LAMP_KEY") == "x"
        assert lamp.variable("PATH").startswith(str(Path(sys.executable).parent) + os.pathsep)
        pid = lamp.pid()
    assert not alive(pid)


def test_a_program_is_found_in_the_folder_of_the_commands(folder: Path) -> None:
    (folder / "bin").mkdir()
    if os.name == "nt":
        (folder / "bin" / "lamp.cmd").write_text("@python controller.py %*\n")
    else:
        (folder / "bin" / "lamp").write_text('#!/bin/sh\nexec python controller.py "$@"\n')
        (folder / "bin" / "lamp").chmod(0o755)
    starter, devices = on_demand({"lamp": entry(free_port(), command="bin/lamp {port} good")}, folder)
    with starter, devices:
        assert Path(devices.get("lamp").where()) == folder


def test_output_is_logged_under_the_name_of_the_controller(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    starter, devices = on_demand({"lamp": entry(free_port())}, folder)
    with starter, devices:
        devices.get("lamp")
    assert ("controller.lamp", logging.ERROR, "lamp:the lamp is cold") in caplog.record_tuples


def test_what_a_controller_prints_is_read_as_it_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    (folder / "prints.py").write_text("print('\\u4e2d')\nraise SystemExit('\\u00b5\\u2126\\u4e2d')\n")
    raw = {"lamp": {**entry(free_port()), "command": "python prints.py"}}
    starter, devices = on_demand(raw, folder)
    with starter, devices, pytest.raises(ControllerStartError) as caught:
        devices.get("lamp")
    assert str(caught.value).splitlines()[-2:] == ["    \u4e2d", "    \u00b5\u2126\u4e2d"]


def test_a_controller_that_answers_already_is_used_and_left(folder: Path) -> None:
    class Driver:
        def ping(self) -> bool:
            return True

    with serving({"lamp": Driver()}) as port:
        starter, devices = on_demand({"lamp": entry(port, "dies")}, folder)
        with starter, devices:
            assert devices.get("lamp").ping()
        with DeviceManager(from_dict({"lamp": entry(port)}, "again")) as again:
            assert again.get("lamp").ping()


def test_a_controller_that_ends_at_once_shows_status_and_output(folder: Path) -> None:
    port = free_port()
    starter, devices = on_demand({"lamp": entry(port, "dies")}, folder)
    with starter, devices, pytest.raises(ControllerStartError) as caught:
        devices.get("lamp")
    said = str(caught.value)
    first, command, *lines = said.splitlines()
    assert first == (
        f"controller 'lamp' ended with exit status 3 before it answered at 127.0.0.1:{port}: no lamp found on the bus"
    )
    assert command == f"  command: python controller.py {port} dies"
    assert lines == ["  its last lines:", "    ERROR:lamp:the lamp is cold", "    no lamp found on the bus"]


def test_a_controller_that_ends_during_the_run_is_named_with_its_last_lines(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    starter, devices = on_demand({"lamp": entry(free_port())}, folder)
    with starter, devices:
        psutil.Process(devices.get("lamp").pid()).kill()
        process, _ = starter._running["lamp"]
        assert within(150, process.ended)
    (said,) = (each.getMessage() for each in caplog.records if each.name == "rexec.supervise.on_demand")
    assert re.match(r"controller 'lamp' (was ended by|ended with exit status) .* meanwhile: ", said)
    assert said.endswith("\n  its last lines:\n    ERROR:lamp:the lamp is cold")


def test_a_controller_that_never_answers_is_given_up(folder: Path) -> None:
    starter, devices = on_demand({"lamp": entry(free_port(), "hangs", term_timeout=1.0)}, folder, 1.0)
    with starter, devices, pytest.raises(ControllerStartError, match=r"did not answer .* within 1 s"):
        devices.get("lamp")


def test_a_last_attempt_that_was_cut_short_is_not_the_reason(folder: Path) -> None:
    guardian = Guardian()
    with contextlib.closing(guardian), socket.create_server(("127.0.0.1", 0)) as silent:
        database = from_dict({"lamp": entry(silent.getsockname()[1], "hangs")}, "device_db.py")
        endpoint = database.endpoint("lamp")
        words = [sys.executable, "controller.py", str(endpoint.port), "hangs"]
        process = ControllerProcess(endpoint, words, os.environ, folder, guardian)
        try:
            with pytest.raises(ControllerStartError, match=r"within 2\.5 s: .* in 2 s"):
                process.wait_ready(2.5)
        finally:
            process.kill()
            process.end(1.0)


# On a busy machine the end of a killed process takes longer than the shorter time.
@pytest.mark.parametrize("seconds", [0.5, 0.0001])
def test_a_controller_that_will_not_end_is_killed(
    folder: Path, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    database = from_dict({"lamp": entry(free_port(), "stubborn", term_timeout=seconds)}, "device_db.py")
    with OnDemand(database, folder, 150.0) as starter:
        starter.ensure(database.endpoint("lamp"))
        pid = starter.started()["lamp"]
        assert alive(pid)
    assert not alive(pid)
    assert f"still runs after {seconds:g} s: SIGKILL" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"command": "absent_program {port}"}, ControllerStartError, "command not found: 'absent_program'"),
        ({"command": "python {prot}"}, CommandTemplateError, "Did you mean 'port'"),
        ({"command": None}, DeviceUnreachable, "has no command"),
        ({"host": "192.0.2.1", "command": None}, DeviceUnreachable, "192.0.2.1"),
    ],
)
def test_what_cannot_be_started_says_why(
    folder: Path, change: dict[str, Any], error: type[Exception], said: str
) -> None:
    database = from_dict({"lamp": {**entry(free_port()), **change}}, "device_db.py")
    with OnDemand(database, folder) as starter:
        devices = DeviceManager(database, before_connect=starter.ensure, connect_timeout=0.5)
        with pytest.raises(error) as caught:
            devices.get("lamp")
    assert said in str(caught.value)


SUPERVISOR = """
import sys, time
from pathlib import Path
from devicedb import from_dict
from rexec.devices import DeviceManager
from rexec.supervise import OnDemand

database = from_dict({"lamp": eval(sys.argv[1])}, "device_db.py")
starter = OnDemand(database, Path.cwd(), 150.0)
starter.ensure(database.endpoint("lamp"))
print(starter.started()["lamp"], flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="process groups are of POSIX")
@pytest.mark.parametrize("mode", ["good", "stubborn"])
def test_controllers_end_with_a_supervisor_that_was_killed(folder: Path, mode: str) -> None:
    (folder / "supervisor.py").write_text(SUPERVISOR)
    with subprocess.Popen(
        [sys.executable, "supervisor.py", repr(entry(free_port(), mode))], cwd=folder, stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert alive(pid)
        supervisor.kill()
        supervisor.wait(150)
    assert within(150, lambda: not alive(pid))

"""A controller on Windows with an experiment on Linux, and the reverse, over loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from rexec.wire import certs
from tests.serving import free_port
from tests.waiting import wait_for, within

WINDOWS: Final = os.environ.get("REXEC_WINDOWS_PYTHON", "")
"""A program that runs a Python for Windows with this project, as FOLDER/wpy of `tests.campaigns.windows` does."""

pytestmark = pytest.mark.skipif(
    not WINDOWS, reason="REXEC_WINDOWS_PYTHON names no Python for Windows beside this one"
)

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 150.0

CONTROLLER: Final = """
import sys
import numpy as np
from rexec.remote_exec import simple_rexec_server_loop
from rexec.wire.tls import SimpleSSLConfig

class Camera:
    frames = 0
    def frame(self):
        self.frames += 1
        return np.arange(6.0).reshape(2, 3) + self.frames
    def ping(self):
        return True

simple_rexec_server_loop(
    "camera", Camera(), "127.0.0.1", int(sys.argv[1]),
    ssl_config=SimpleSSLConfig("server.pem", "server.key", "clients.pem"),
)
"""

EXPERIMENT: Final = """
import json, os, sys, time
import numpy as np
import rexec.remote
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

def where():
    import sys
    return sys.platform

def total(array):
    return float(np.sum(array)) + float(np.sum(controller_driver.frame()))

def frames(count):
    for _ in range(count):
        yield controller_driver.frame()

def fails():
    return 1 / 0

port, tls = int(sys.argv[1]), SimpleSSLConfig("lab.pem", "lab.key", "server.pem")
said = {}
with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec", ssl_config=tls)) as remote:
    said["here"], said["there"] = sys.platform, remote.function(where)()
    said["total"] = remote.function(total)(np.ones((1000, 1000)))
    said["stream"] = [each.tolist() for each in remote.function(frames).stream(3)]
    said["job"] = remote.function(total).submit(np.zeros(3)).result(60)
    try:
        remote.function(fails)()
    except Exception as error:
        said["error"] = type(error).__name__, "return 1 / 0" in "".join(getattr(error, "__notes__", [])) + str(error)
    pinged = remote.function(where, stateless=True)
    with open("ready", "w") as file:
        file.write("ready")
    while not os.path.exists("again"):
        time.sleep(0.05)
    said["after a kill"] = pinged()
with open("said.json", "w") as file:
    json.dump(said, file)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    certs.make_set(tmp_path, ["lab"])
    (tmp_path / "controller.py").write_text(CONTROLLER)
    (tmp_path / "experiment.py").write_text(EXPERIMENT)
    return tmp_path


def started(python: str, lab: Path, *words: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": f"Z:{ROOT}" if python == WINDOWS else str(ROOT)}
    return subprocess.Popen([python, *words], cwd=lab, env=environment)


@pytest.mark.parametrize("at", ["the controller is on Windows", "the experiment is on Windows"])
def test_an_experiment_works_with_a_controller_on_another_system(at: str, lab: Path) -> None:
    sides = (WINDOWS, sys.executable) if "controller" in at else (sys.executable, WINDOWS)
    port = free_port()
    controllers = [started(sides[0], lab, "controller.py", str(port))]
    try:
        wait_for(port)
        experiment = started(sides[1], lab, "experiment.py", str(port))
        controllers.append(experiment)
        assert within(PATIENCE, lambda: (lab / "ready").exists() or experiment.poll() is not None)
        assert experiment.poll() is None
        controllers[0].kill()
        controllers[0].wait(PATIENCE)
        controllers.append(started(sides[0], lab, "controller.py", str(port)))
        wait_for(port)
        (lab / "again").touch()
        assert experiment.wait(PATIENCE) == 0
    finally:
        for each in controllers:
            each.kill()
            each.wait(PATIENCE)
    said: dict[str, Any] = json.loads((lab / "said.json").read_text())
    systems = [said["there"], said["here"]]
    assert systems == (["win32", "linux"] if sides[0] == WINDOWS else ["linux", "win32"])
    assert said["total"] == 1e6 + 15 + 6
    assert [each[0][0] for each in said["stream"]] == [2.0, 3.0, 4.0]
    assert said["job"] == 15 + 6 * 5
    assert said["error"] == ["ZeroDivisionError", True]
    assert said["after a kill"] == said["there"]

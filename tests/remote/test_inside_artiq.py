"""Remote functions in experiments of a real ARTIQ, run by its `artiq_run` and by `rexec run`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from rexec.remote_exec import rexec_targets
from rexec.wire import certs
from rexec.wire.tls import SimpleSSLConfig
from tests.remote_exec.peers import MAKES, Driver, controller
from tests.serving import serving

ARTIQ_PYTHON: Final = Path(os.environ.get("ARTIQ_PYTHON", ""))
ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = {
    "artiq_run": ["-m", "artiq.frontend.artiq_run"],
    "rexec run": ["-m", "rexec", "run"],
}
EXPERIMENT: Final = '''
from artiq.experiment import *
import rexec.remote
from rexec.remote import controller_driver

FACTOR = 2


def measure(number):
    return [FACTOR * controller_driver.measure() for _ in range(number)]


def fails():
    raise RuntimeError("beside the driver")


class Compare(EnvExperiment):
    """Remote functions by the entry of rexec.artiq, and on the client that get_device returns."""

    def build(self):
        self.setattr_device("camera")
        self.setattr_device("rexec")

    def run(self):
        by_entry = self.rexec.function(measure)
        print("call", by_entry(2))
        print("stream", list(self.rexec.function(items).stream(3)))
        wrapped = rexec.remote.wrap(self.get_device("camera_rexec"), "camera")
        print("wrapped", wrapped.function(measure).submit(1).result(30))
        print("driver", self.camera.measure())
        self.rexec.add_code("def twice(x): return 2 * x")
        print("string", self.rexec.call("twice", 4))
        try:
            wrapped.function(fails)()
        except RuntimeError as error:
            print("error", error, "in fails" in error.__notes__[0])
        wrapped.close_rpc()


def items(number):
    for index in range(number):
        yield index
'''


TLS_EXPERIMENT: Final = '''
from artiq.experiment import *
from rexec.remote import controller_driver


def measure(number):
    return [controller_driver.measure() for _ in range(number)]


class Encrypted(EnvExperiment):
    """The device database has a controller with TLS."""

    def build(self):
        self.setattr_device("rexec")

    def run(self):
        print("call", self.rexec.function(measure)(2))
'''

needs_artiq = pytest.mark.skipif(
    not ARTIQ_PYTHON.is_file(), reason="ARTIQ_PYTHON names no interpreter that has ARTIQ"
)


def run(program: str, folder: Path, experiment: str, entry: dict[str, Any], **environ: str) -> list[str]:
    """Run an experiment beside a device database with a camera; return what it printed."""
    target = {"controller": "camera", "target_name": "camera_rexec"}
    rexec = {"type": "local", "module": "rexec.artiq", "class": "RemoteDevice", "arguments": target}
    devices = {
        "camera": {"type": "controller", "host": "127.0.0.1", "target_name": "camera", **entry},
        "camera_rexec": {"type": "controller_aux_target", **target},
        "rexec": rexec,
    }
    (folder / "device_db.py").write_text(f"device_db = {json.dumps(devices)}\n")
    (folder / "experiment.py").write_text(experiment)
    packages = [each for each in sys.path if "site-packages" in each]
    done = subprocess.run(
        [ARTIQ_PYTHON, *PROGRAMS[program], "experiment.py"],
        cwd=folder,
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *packages])},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_artiq
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("make", MAKES)
def test_an_experiment_of_artiq_runs_functions_on_its_controllers(
    make: str, program: str, tmp_path: Path
) -> None:
    with controller(make) as port:
        lines = run(program, tmp_path, EXPERIMENT, {"port": port})
    assert lines[:6] == [
        "call [2, 4]",
        "stream [0, 1, 2]",
        "wrapped [6]",
        "driver 4",
        "string 8",
        "error beside the driver True",
    ]


@needs_artiq
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_experiment_of_artiq_runs_functions_on_a_controller_with_tls(program: str, tmp_path: Path) -> None:
    made = certs.make_set(tmp_path, ["laboratory"])
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    names = {
        "client_cert": made.clients["laboratory"].cert,
        "client_key": made.clients["laboratory"].key,
        "server_cert": made.server.cert,
    }
    files = {
        key: f"{{ARTIQ_SSL_DIR}}/{Path(file).relative_to(tmp_path).as_posix()}" for key, file in names.items()
    }
    with serving(rexec_targets("camera", Driver()), ssl_config=server) as port:
        entry = {"port": port, "simple_ssl_config": files}
        lines = run(program, tmp_path, TLS_EXPERIMENT, entry, ARTIQ_SSL_DIR=str(tmp_path))
    assert lines[:1] == ["call [1, 2]"]

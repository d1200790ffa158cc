"""Experiments tested without hardware: the examples, and what goes wrong."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from rexec.experiment import ArgumentError
from rexec.testing import laboratory, run_experiment
from tests.ports import EXAMPLES

CAMERA, MONITOR = EXAMPLES / "camera", EXAMPLES / "host_monitor"


@pytest.fixture(autouse=True)
def forget_modules() -> None:
    """Let each run import its own siblings, as a process of its own would."""
    for name in ("fit", "traffic", "averaging"):
        sys.modules.pop(name, None)


def test_the_camera_example_finds_the_simulated_spot(tmp_path: Path) -> None:
    with laboratory(CAMERA / "device_db.py", CAMERA / "behaviours.py") as lab:
        run = run_experiment(CAMERA / "experiment.py", lab.database, tmp_path, frames=3)
    assert run["x"] == pytest.approx([300.0] * 3, abs=0.1)
    assert run["y"] == pytest.approx([200.0] * 3, abs=0.1)
    assert run.datasets["x"].metadata["unit"] == "px"
    assert run.phase == "analyze"
    with h5py.File(run.path) as file:
        assert file.attrs["simulated"]
        assert np.allclose(file["datasets/x"][:], run["x"])


def test_the_host_monitor_example_averages_the_simulated_counters(tmp_path: Path) -> None:
    with laboratory(MONITOR / "device_db.py", MONITOR / "behaviours.py") as lab:
        run = run_experiment(
            MONITOR / "experiment.py", lab.database, tmp_path, points=2, samples=4, interval=0.01
        )
        readings = lab.driver("host_monitor").readings
    assert readings == 10
    # Each point has a reading before its four.
    assert run["host_monitor.cpu"] == [(2 + 3 + 4 + 5) / 4, (7 + 8 + 9 + 10) / 4]
    assert run["host_monitor.received"] == [1000.0, 1000.0]
    assert run["host_monitor.cpu_last"] == 10.0


EXPERIMENT = """
from rexec.experiment import *

class Fails(EnvExperiment):
    def build(self):
        self.setattr_argument("n", NumberValue(1, precision=0, step=1, type="int"))
        self.setattr_device("camera")

    def run(self):
        self.set_dataset("before", self.get_dataset("seen") + self.n)
        self.camera.get_frame()
"""


def test_what_the_experiment_raises_comes_out_and_its_data_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "experiment.py"
    file.write_text(EXPERIMENT)
    with laboratory(CAMERA / "device_db.py", faults=["camera:error=1"]) as lab:
        with pytest.raises(RuntimeError, match="simulated fault"):
            run_experiment(file, lab.database, tmp_path, persistent={"seen": 4}, n=3)
        with pytest.raises(ArgumentError, match="Did you mean 'n'"):
            run_experiment(file, lab.database, tmp_path, N=3)
    (path,) = tmp_path.glob("results/*/*/*.h5")
    with h5py.File(path) as file:
        assert file["datasets/before"][()] == 7

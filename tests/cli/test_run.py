"""`rexec run`, the real program, over TCP with a real controller."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec.datasets import DatasetDB
from tests.cli.program import CONTROLLER, Lab, Result
from tests.serving import free_port, serving
from tests.supervise.controllers import alive, within

REMOTE = '''
from rexec.experiment import *
from rexec.remote_exec import connect_global_rpc

CODE = """
def total(factor):
    controller_initial_namespace["dataset_db"].set("from_remote", factor)
    return sum(controller_driver.frame()) * factor

def broken():
    return 1 / 0
"""

class Remote(EnvExperiment):
    """Add up beside the driver"""

    def build(self):
        self.setattr_device("rexec")
        self.setattr_argument("factor", NumberValue(3, precision=0, scale=1, step=1))
        self.setattr_argument("fail", BooleanValue(False))

    def run(self):
        connect_global_rpc(self.rexec)
        self.rexec.add_code(CODE)
        total = self.rexec.call("total", self.factor)
        self.set_dataset("total", total, unit="mV", scale=1e-3, precision=2)
        self.set_dataset("seen", self.get_dataset("from_remote"))
        if self.fail:
            self.rexec.call("broken")
'''


def with_camera(lab: Lab) -> int:
    """Write a laboratory with a camera controller that has remote execution; return its port."""
    port = free_port()
    lab.write("controller.py", CONTROLLER)
    camera = {
        "type": "controller",
        "host": "127.0.0.1",
        "port": port,
        "target_name": "camera",
        "command": "python controller.py {port}",
    }
    rexec = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}
    lab.devices({"camera": camera, "rexec": rexec})
    lab.experiment(REMOTE)
    return port


def test_from_a_device_database_to_a_result_file(lab: Lab) -> None:
    with_camera(lab)
    result = lab.run("experiment.py", "--up", "factor=2")
    assert (result.status, result.err) == (0, "")
    (path,) = lab.results()
    assert str(path) in result.out
    assert "total" in result.out
    assert "12000" in result.out
    with h5py.File(path) as file:
        assert file["datasets/total"][()] == 12
        assert file["datasets/seen"][()] == 2
        attributes = dict(file["datasets/total"].attrs)
        assert (attributes["unit"], attributes["scale"], attributes["precision"]) == ("mV", 1e-3, 2)
        assert file["rid"][()] == 0
        assert "simulated" not in file.attrs
        assert file["run_time"][()] >= file["start_time"][()] > 1e9
        expid = json.loads(file["expid"][()])
        sources = {digest: text.asstr()[()] for digest, text in file["rexec/sources"].items()}
    assert all(sha256(text.encode()).hexdigest() == digest for digest, text in sources.items())
    assert REMOTE in sources.values()  # the experiment
    assert any(text.startswith("\ndef total(factor):") for text in sources.values())  # what was sent
    assert expid["class_name"] == "Remote"
    assert expid["arguments"] == {"factor": 2, "fail": False}  # the default that was used, too


def test_a_remote_error_shows_both_tracebacks_and_keeps_the_data(lab: Lab) -> None:
    with_camera(lab)
    result = lab.run("experiment.py", "--up", "fail=true")
    assert result.status == 1
    assert 'experiment.py", line 29, in run' in result.err
    assert "return 1 / 0" in result.err
    assert "ZeroDivisionError: division by zero" in result.err
    assert "rexec/experiment" not in result.err
    assert "rexec run: the experiment failed in run at experiment.py:29" in result.err
    assert lab.datasets()["total"] == 18


def test_two_runs_at_once_do_not_collide(lab: Lab) -> None:
    with_camera(lab)
    body = """
def run(self):
    import time
    self.set_dataset("n", 1, broadcast=True)
    time.sleep(1.5)
"""
    lab.experiment(body, "slow.py")
    running = [lab.start("run", "slow.py", "-q") for _ in range(2)]
    for each in running:
        _, err = each.communicate(timeout=40)
        assert each.returncode == 0, err
    assert len(lab.results()) == 2
    assert len({path.name[:9] for path in lab.results()}) == 2


def test_lifecycle_and_devices_in_order(lab: Lab) -> None:
    lab.write(
        "drivers.py",
        """
class Driver:
    def __init__(self, device_mgr, label):
        self.label = label
    def notify_run_end(self):
        print("notify", self.label)
    def close(self):
        print("close", self.label)
        if self.label == "b":
            raise RuntimeError("stuck")
""",
    )
    local = {"type": "local", "module": "drivers", "class": "Driver"}
    lab.devices({name: {**local, "arguments": {"label": name}} for name in "abc"})
    lab.experiment(
        """
def build(self):
    for name in "abc":
        self.get_device(name)
    print("build")
def prepare(self):
    print("prepare")
def run(self):
    print("run")
def analyze(self):
    print("analyze")
""",
        "sub/experiment.py",
    )
    result = lab.run("sub/experiment.py")
    assert result.status == 0
    ends = ["notify a", "notify b", "notify c", "analyze", "close c", "close b", "close a"]
    assert result.out.splitlines()[:-1] == ["build", "prepare", "run", *ends]
    assert "device 'b': closing failed: RuntimeError: stuck" in result.err
    assert "Traceback" not in result.err


def test_the_experiments_own_error_is_the_headline_and_nothing_is_lost(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    self.set_dataset("before", [1, 2])
    self.set_dataset("odd", {1: None})
    self.set_dataset("after", 2.5)
    self.deeper()
def deeper(self):
    raise ValueError("the beam is lost")
"""
    )
    result = lab.run("experiment.py")
    assert result.status == 1
    lines = result.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.strip() for line in lines if line.strip().startswith("File")] == [
        f'File "{lab.folder}/experiment.py", line 8, in run',
        f'File "{lab.folder}/experiment.py", line 10, in deeper',
    ]
    assert lines[-2:] == [
        "ValueError: the beam is lost",
        "rexec run: the experiment failed in run at experiment.py:10",
    ]
    assert str(lab.results()[-1]) in result.out
    assert lab.datasets()["after"] == 2.5
    assert "odd" in lab.datasets()


def interrupted(lab: Lab, body: str, number: signal.Signals, times: int = 1) -> Result:
    """Run an experiment that prints "ready", and send it a signal then."""
    lab.experiment(body)
    with lab.start("run", "experiment.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3)
        out, err = process.communicate(timeout=30)
    return Result(process.returncode, out, err)


SLEEPS = """
def run(self):
    import time
    self.set_dataset("kept", 1)
    print("ready", flush=True)
    time.sleep(30)
"""
PAUSES = """
def build(self):
    self.setattr_device("scheduler")
def run(self):
    import time
    self.set_dataset("kept", 1)
    self.scheduler.pause()
    print("ready", flush=True)
    try:
        while True:
            time.sleep(0.05)
            self.scheduler.pause()
    except TerminationRequested:
        self.set_dataset("graceful", True)
def analyze(self):
    self.set_dataset("analyzed", True)
"""
STUCK = """
def build(self):
    self.setattr_device("scheduler")
def run(self):
    import time
    self.set_dataset("kept", 1)
    self.scheduler.pause()
    print("ready", flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_results(lab: Lab, number: signal.Signals) -> None:
    result = interrupted(lab, SLEEPS, number)
    assert result.status == 130
    assert result.err.strip() == "rexec run: interrupted in run"
    assert lab.datasets() == {"kept": 1}
    assert list(lab.folder.rglob("*.journal")) == []


def test_an_experiment_that_pauses_ends_by_itself(lab: Lab) -> None:
    result = interrupted(lab, PAUSES, signal.SIGINT)
    assert result.status == 130
    assert lab.datasets() == {"kept": 1, "graceful": True, "analyzed": True}


def test_a_second_signal_forces(lab: Lab) -> None:
    began = time.monotonic()
    result = interrupted(lab, STUCK, signal.SIGINT, times=2)
    assert result.status == 130
    assert time.monotonic() - began < 10
    assert lab.datasets() == {"kept": 1}


def test_controllers_end_with_an_interrupted_run_and_a_killed_one(lab: Lab) -> None:
    with_camera(lab)
    text = 'def build(self):\n    self.setattr_device("camera")\n'
    text += 'def run(self):\n    import time\n    print("ready", flush=True)\n    time.sleep(30)\n'
    lab.experiment(text)
    for number in (signal.SIGINT, signal.SIGKILL):
        with lab.start("run", "experiment.py", "--up") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            (pid,) = controllers_of(lab)
            process.send_signal(number)
            process.communicate(timeout=30)
        assert within(10, lambda pid=pid: not alive(pid))  # type: ignore[misc]


def controllers_of(lab: Lab) -> list[int]:
    import psutil

    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "cwd"])
        if each.info["cwd"] == str(lab.folder) and "controller.py" in (each.info["cmdline"] or [])
    ]


def test_persistent_datasets_are_kept_from_run_to_run(lab: Lab) -> None:
    body = (
        'def run(self):\n    n = self.get_dataset("n", 0)\n    self.set_dataset("n", n + 1, persist=True)\n'
    )
    lab.experiment(body)
    assert [lab.run("experiment.py").status for _ in range(2)] == [0, 0]
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.get("n") == 2
    assert lab.run("experiment.py", "--dataset-db", "other.mdb").status == 0
    assert lab.datasets() == {"n": 1}


def test_a_dataset_database_in_use_is_said(lab: Lab) -> None:
    lab.experiment('def run(self):\n    self.set_dataset("n", 1, persist=True)\n')
    with DatasetDB(lab.folder / "dataset_db.mdb"):
        result = lab.run("experiment.py")
        assert result.status == 0
        assert "neither sees nor keeps persistent datasets" in result.err
        result = lab.run("experiment.py", "--dataset-db", "dataset_db.mdb")
        assert result.status == 2
        result.one_line(f"is open in process {os.getpid()}")


class MasterDatasets:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {"old": 5}
        self.metadata: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values[key]

    def get_metadata(self, key: str) -> Any:
        return self.metadata.get(key, {})

    def set(self, key: str, value: Any, persist: Any = None, metadata: Any = None) -> None:
        self.values[key] = value
        self.metadata[key] = metadata

    def update(self, mod: dict[str, Any]) -> None:
        self.values[mod["path"][0]].append(mod["x"])

    def delete(self, key: str) -> None:
        del self.values[key]


class MasterDevices:
    def get_device_db(self) -> dict[str, Any]:
        return {"nothing": {"type": "dummy"}}


@pytest.mark.parametrize("prefix", ["", "master_"])
def test_a_masters_datasets_and_devices_are_used(lab: Lab, prefix: str) -> None:
    (lab.folder / "device_db.py").unlink()
    lab.experiment(
        """
def build(self):
    self.setattr_device("nothing")
def run(self):
    self.set_dataset("new", [self.get_dataset("old")], unit="s", broadcast=True)
    self.append_to_dataset("new", 6)
"""
    )
    datasets = MasterDatasets()
    with serving({f"{prefix}dataset_db": datasets, f"{prefix}device_db": MasterDevices()}) as port:
        result = lab.run("experiment.py", "--master", "127.0.0.1", "--master-port", str(port))
    assert (result.status, result.err) == (0, "")
    assert datasets.values["new"] == [5, 6]
    assert datasets.metadata["new"] == {"unit": "s"}
    assert list(lab.datasets()["new"]) == [5, 6]


def test_list_shows_classes_and_arguments_without_devices(lab: Lab) -> None:
    with_camera(lab)
    result = lab.run("--list", "experiment.py")
    assert result.status == 0
    assert result.out.splitlines() == [
        "Remote: Add up beside the driver",
        "    factor=3  (number)",
        "    fail=False  (boolean)",
    ]


def test_nothing_but_the_experiments_output_when_quiet(lab: Lab) -> None:
    lab.experiment('def run(self):\n    self.set_dataset("a", 1)\n')
    result = lab.run("experiment.py", "-q")
    assert result.err == ""
    assert result.out.strip() == f"run 0 of Measure: {lab.results()[-1]}"


def test_interactive_without_a_terminal_is_cancelled_and_said(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    try:
        with self.interactive("Focus") as answers:
            answers.setattr_argument("z", NumberValue())
    except CancelledArgsError:
        self.set_dataset("cancelled", True)
"""
    )
    result = lab.run("experiment.py")
    assert result.status == 0
    assert "there is no terminal" in result.err
    assert lab.datasets()["cancelled"]


ARTIQ_PYTHON = Path(os.environ.get("ARTIQ_PYTHON", ""))


@pytest.mark.skipif(not ARTIQ_PYTHON.is_file(), reason="ARTIQ_PYTHON names no interpreter that has ARTIQ")
def test_an_experiment_of_artiq_runs_where_artiq_is_installed(lab: Lab) -> None:
    text = (
        "from artiq.experiment import *\nimport time\n"
        + """
class Theirs(EnvExperiment):
    def build(self):
        self.setattr_device("scheduler")
        self.setattr_device("ccb")
        self.setattr_argument("n", NumberValue(2))
        self.setattr_argument("p", PYONValue([1]))
        self.setattr_argument("s", Scannable(default=RangeScan(0, 1, 3)))
    def run(self):
        self.ccb.issue("create_applet", "a", "b")
        self.set_dataset("sum", self.n + sum(self.p), broadcast=True)
        self.set_dataset("scan", list(self.s))
        self.scheduler.request_termination(self.scheduler.rid)
        try:
            self.scheduler.pause()
        except TerminationRequested:
            self.set_dataset("ended", True)
"""
    )
    lab.experiment(text)
    path = os.pathsep.join(
        [str(Path(__file__).parents[2]), *(each for each in sys.path if "site-packages" in each)]
    )
    done = subprocess.run(
        [ARTIQ_PYTHON, "-m", "rexec", "run", "experiment.py", "p=[1,2]"],
        cwd=lab.folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    datasets = lab.datasets()
    assert (datasets["sum"], list(datasets["scan"]), datasets["ended"]) == (5, [0.0, 0.5, 1.0], True)

"""`rexec run`, the real program, over TCP with a real controller."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import lmdb
import pytest

import rexec.results
from devicedb.cli.console import TerminalConsole
from rexec.cli._ending import end_threads
from rexec.cli._listing import describe, lines_of, print_experiments
from rexec.cli.run import main as rexec_run
from rexec.datasets import DatasetDB
from rexec.experiment import NumberValue
from tests.cli.program import CONTROLLER, Lab, Result
from tests.ending import ORDERLY, interrupt
from tests.ports import without_status
from tests.serving import free_port, serving
from tests.supervise.controllers import alive
from tests.waiting import within

UP = ("--up", "--up-timeout", "150")
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
    result = lab.run("experiment.py", *UP, "factor=2")
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
    result = lab.run("experiment.py", *UP, "fail=true")
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
        _, err = each.communicate(timeout=150)
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
    with rexec.results.open(lab.results()[0]) as run:
        assert run.identity["devices_used"] == ["a", "b", "c"]
    (found,) = rexec.results.find("device=b device!=d", folder=lab.folder / "results")
    assert found.facts.devices == ("a", "b", "c")


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
        f'File "{lab.folder / "experiment.py"}", line 8, in run',
        f'File "{lab.folder / "experiment.py"}", line 10, in deeper',
    ]
    assert lines[-2:] == [
        "ValueError: the beam is lost",
        "rexec run: the experiment failed in run at experiment.py:10",
    ]
    assert str(lab.results()[-1]) in result.out
    assert lab.datasets()["after"] == 2.5
    assert "odd" in lab.datasets()


def interrupted(lab: Lab, body: str, number: int, times: int = 1) -> Result:
    """Run an experiment that prints "ready", and send it a signal then."""
    lab.experiment(body)
    with lab.start("run", "experiment.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            interrupt(process, number)
            time.sleep(0.3)
        out, err = process.communicate(timeout=150)
    return Result(process.returncode, out, without_status(err))


SLEEPS = """
def run(self):
    import time
    self.set_dataset("kept", 1)
    print("ready", flush=True)
    time.sleep(100)
    self.set_dataset("waited", True)
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


@pytest.mark.parametrize("number", sorted({*ORDERLY, getattr(signal, "SIGHUP", ORDERLY[0])}))
def test_an_interrupted_run_keeps_its_results(lab: Lab, number: int) -> None:
    result = interrupted(lab, SLEEPS, number)
    assert result.status == 130
    assert result.err.strip() == "rexec run: interrupted in run"
    assert lab.datasets() == {"kept": 1}
    assert list(lab.folder.rglob("*.journal")) == []


def test_an_experiment_that_pauses_ends_by_itself(lab: Lab) -> None:
    result = interrupted(lab, PAUSES, signal.SIGINT)
    assert result.status == 0
    assert "degraded: the run was asked to end; the experiment ended it by itself" in result.err
    assert lab.datasets() == {"kept": 1, "graceful": True, "analyzed": True}
    with h5py.File(lab.results()[0]) as file:
        assert file["rexec"].attrs["status"] == "completed"


def test_a_second_signal_forces(lab: Lab) -> None:
    result = interrupted(lab, STUCK, signal.SIGINT, times=2)
    assert result.status == 130
    assert lab.datasets() == {"kept": 1}


def test_controllers_end_with_an_interrupted_run_and_a_killed_one(lab: Lab) -> None:
    with_camera(lab)
    text = 'def build(self):\n    self.setattr_device("camera")\n'
    text += 'def run(self):\n    import time\n    print("ready", flush=True)\n    time.sleep(30)\n'
    lab.experiment(text)
    for end in (interrupt, subprocess.Popen.kill):
        with lab.start("run", "experiment.py", *UP) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            (pid,) = controllers_of(lab)
            end(process)
            process.communicate(timeout=150)
        assert within(150, lambda pid=pid: not alive(pid))  # type: ignore[misc]


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


def test_values_that_cannot_be_compared_are_in_the_file_and_in_the_table(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import numpy as np
    self.set_dataset("data", [1, 2, 3])
    self.set_dataset("odd", np.ma.mean(np.ma.array([1.0, 2.0], mask=True)))
"""
    )
    result = lab.run("experiment.py")
    assert (result.status, result.err) == (0, "")
    assert set(lab.datasets()) == {"data", "odd"}


CALIBRATION = """
from rexec.experiment import EnvExperiment

class Cal(EnvExperiment):
    def run(self):
        self.set_dataset("cal.freq", 729.3e6, persist=True)

class Use(EnvExperiment):
    def run(self):
        self.set_dataset("used", self.get_dataset("cal.freq", 100e6))
"""


def test_two_runs_in_a_folder_see_and_keep_the_same_datasets(lab: Lab) -> None:
    lab.experiment('def run(self):\n    self.set_dataset("n", self.get_dataset("n", 0) + 1, persist=True)\n')
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        db.set("n", 5, True)
        assert lab.run("experiment.py").status == 0
        assert db.get("n") == 6


def test_where_the_device_database_is_decides(lab: Lab) -> None:
    """From the parent folder, and with another device database, a calibration is never replaced by a default."""
    (lab.folder / "device_db.py").unlink()
    lab.write("sub/device_db.py", "device_db = {}\n")
    lab.write("sub/cal.py", CALIBRATION)
    first = lab.run("sub/cal.py", "-c", "Cal")
    used = lab.run("sub/cal.py", "-c", "Use")
    assert (first.status, used.status) == (0, 0)
    lines = used.out.strip().splitlines()
    assert lines[-2] == f"persistent datasets: {lab.folder / 'sub' / 'dataset_db.mdb'}"
    assert lines[-1].startswith(f"run 1 of Use: {lab.folder / 'sub' / 'results'}")
    (_, path) = sorted((lab.folder / "sub").glob("results/*/*/*.h5"))
    with h5py.File(path) as file:
        assert file["datasets/used"][()] == 729.3e6
    assert not (lab.folder / "results").exists()


def test_what_the_database_cannot_read_ends_the_run_that_asks_for_it(lab: Lab) -> None:
    path = lab.folder / "dataset_db.mdb"
    with lmdb.open(str(path), subdir=False, map_size=2**30) as env, env.begin(write=True) as transaction:
        transaction.put(b"cal", b"garbage")
        transaction.put(b"good", b'{"__jsonclass__":["tuple",[[2,{}]]]}')
    lab.experiment(
        'def run(self):\n    self.set_dataset("good", self.get_dataset("good", 0))\n    self.get_dataset("cal", 5)\n'
    )
    result = lab.run("experiment.py")
    assert result.status == 1
    result.one_line("experiment.py:6", "dataset 'cal' in", "cannot be read", "Set it anew, or delete it")
    assert lab.datasets() == {"good": 2}


@pytest.mark.parametrize("what", ["foreign", "cut", "folder"])
def test_a_bad_dataset_database_is_one_error_before_the_run(lab: Lab, what: str) -> None:
    path = lab.folder / "dataset_db.mdb"
    if what == "folder":
        path.mkdir()
    elif what == "foreign":
        path.write_bytes(b"not a database" * 1000)
    else:
        with DatasetDB(path) as db:
            db.set("n", 5, True)
        os.truncate(path, 4096)
    lab.experiment('def run(self):\n    self.set_dataset("n", 1)\n')
    result = lab.run("experiment.py")
    assert result.status == 2
    result.one_line("dataset_db.mdb")
    assert not lab.results()


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
        "    fail=false  (boolean)",
    ]


def test_an_argument_that_is_wider_than_the_terminal_is_wrapped_at_words_behind_its_default() -> None:
    description = NumberValue(5e-3, unit="ms", min=0.0, max=1.23456).describe()
    default, details = describe("exposure", description, None, "Time that light is collected")
    assert lines_of(default, details, None) == [
        "    exposure=5ms  (number, in ms, min 0 ms, max 1234.56 ms)  Time that light is collected"
    ]
    assert lines_of(default, details, 50) == [
        "    exposure=5ms",
        "        (number, in ms, min 0 ms, max 1234.56 ms)",
        "        Time that light is collected",
    ]
    assert lines_of("x='" + 60 * "a " + "'", "(text)", 50)[0] == "    x='" + 60 * "a " + "'"
    assert describe("n", NumberValue(5, max=10**5000).describe(), None, None)[0] == "n=5"


def test_a_list_has_a_line_for_a_class_that_needs_its_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "listed.py"
    path.write_text(
        "from rexec.experiment import *\nclass Bad(EnvExperiment):\n    def build(self):\n"
        "        self.setattr_argument('x', NumberValue(1))\n        self.n = 1 / 0\n"
        "class Good(EnvExperiment):\n    def build(self):\n        pass\n"
    )
    print_experiments(path, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "    build() fails without devices at listed.py:5: ZeroDivisionError: division by zero"
    assert lines[2].startswith("    x=1")
    assert lines[3] == "Good: Good"


def test_threads_that_an_experiment_leaves_do_not_keep_the_program(lab: Lab) -> None:
    lab.experiment(
        """
def run(self):
    import threading
    threading.Thread(target=threading.Event().wait, name="logger").start()
    self.set_dataset("x", 1)
"""
    )
    code = (
        "import sys, rexec.cli._ending as ending, rexec.cli.run as run; ending.THREADS_END = 0.1; "
        "sys.exit(run.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "experiment.py"],
        cwd=lab.folder, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "threads of the experiment still run (logger)" in done.stderr
    assert lab.datasets() == {"x": 1}


def test_threads_of_a_program_that_makes_a_run_do_not_end_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.experiment("def run(self):\n    pass\n")
    monkeypatch.chdir(lab.folder)
    before = threading.enumerate()
    ours = threading.Event()
    thread = threading.Thread(target=ours.wait)
    thread.start()
    try:
        assert rexec_run(["experiment.py", "-q"]) == 0
        new = [each for each in threading.enumerate() if each not in (*before, thread)]
        timers = [each for each in new if isinstance(each, threading.Timer)]
        for each in timers:
            each.cancel()
        assert timers == []
    finally:
        ours.set()
        thread.join()


def test_threads_that_end_in_time_do_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    before = threading.enumerate()
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()
    end_threads(3, TerminalConsole(file=io.StringIO()), before)
    (timer,) = (each for each in threading.enumerate() if each not in (*before, thread))
    assert isinstance(timer, threading.Timer)
    timer.cancel()
    timer.function()
    assert ended == [3]
    go_on.set()
    thread.join()
    timer.function()
    assert ended == [3]


def test_arguments_come_from_an_earlier_run_a_file_and_the_command_line_in_that_order(lab: Lab) -> None:
    lab.experiment(
        """
def build(self):
    for key in "abc":
        self.setattr_argument(key, NumberValue(1e-3, unit="ms"))
    self.setattr_argument("t", Scannable(NoScan(0), unit="us"))
def run(self):
    self.set_dataset("numbers", [self.a, self.b, self.c, *self.t])
"""
    )
    lab.run("experiment.py", "a=2ms", "b=3ms", "c=4ms", "t=0..2us:3")
    lab.write("some.yaml", "b: 5ms\nc: 6ms\n")
    result = lab.run("experiment.py", "--like", "0", "--arguments", "some.yaml", "c=7ms")
    assert (result.status, result.err) == (0, "")
    assert list(lab.datasets()["numbers"]) == [2e-3, 5e-3, 7e-3, 0, 1e-6, 2e-6]
    with rexec.results.open(lab.results()[-1]) as run:
        assert run.identity["user_arguments"]["b"] == 5e-3


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
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    datasets = lab.datasets()
    assert (datasets["sum"], list(datasets["scan"]), datasets["ended"]) == (5, [0.0, 0.5, 1.0], True)

"""What loses data elsewhere (docs/explanation/differences-from-artiq.md), done to `rexec run`: nothing is lost here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.master import MasterThread
from rexec.results import recover_folder, verify
from rexec.wire.pc_rpc import Client
from tests.cli.program import Lab
from tests.ending import KILLED, ORDERLY, interrupt
from tests.ports import without_status
from tests.waiting import within

BODY = """
def build(self):
    self.setattr_argument("way", StringValue("none"))
    self.setattr_argument("phase", StringValue("run"))

def step(self, phase):
    self.set_dataset("before " + phase, 1)
    self.set_dataset("list", [], broadcast=True)
    for number in range(1000):
        self.append_to_dataset("list", number)
    self.set_dataset("persistent", 7, persist=True)
    if phase == self.phase:
        {way}

def run(self):
    self.step("run")

def analyze(self):
    self.step("analyze")
"""


def experiment(lab: Lab, way: str) -> None:
    body = BODY.replace("{way}", way)
    text = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
    lab.write(
        "experiment.py",
        "import os, signal, time\nfrom rexec.experiment import *\n\nclass Measure(EnvExperiment):\n" + text,
    )


def left(lab: Lab) -> tuple[Path, dict[str, object]]:
    """Return the one result file and its datasets, after whatever has to be recovered was."""
    list(recover_folder(lab.folder / "results"))
    (path,) = lab.results()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert verify(path) == []
    with results.open(path) as run:
        assert run.identity["expid"]["class_name"] == "Measure"
        return path, dict(run)


def test_an_experiment_that_survives_interrupts_is_ended_by_the_third(lab: Lab) -> None:
    lines = ["while True:", "    try:", '        print("ready", flush=True)', "        time.sleep(100)"]
    experiment(lab, f"\n{8 * ' '}".join([*lines, "    except BaseException:", "        pass"]))
    with lab.start("run", "experiment.py", 'phase="run"') as process:
        try:
            assert process.stdout is not None
            for _ in range(2):
                assert process.stdout.readline() == "ready\n"
                interrupt(process)
            assert process.stdout.readline() == "ready\n"
            time.sleep(1.2)  # what comes sooner is from a key that is held down
            interrupt(process)
            _, err = process.communicate(timeout=150)
        finally:
            process.kill()
    assert process.returncode == 130
    first, last = [line for line in err.splitlines() if "without its clean-up" in line]
    assert first.endswith("interrupted again; once more ends the program without its clean-up")
    assert last.endswith("ended without its clean-up: `rexec results recover` writes the file of its results")
    _, datasets = left(lab)
    assert datasets["list"] == list(range(1000))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("way", "phase"),
    [
        ("os.kill(os.getpid(), 9)", "run"),
        ("os.kill(os.getpid(), 9)", "analyze"),
        ("signal.raise_signal(signal.SIGSEGV)", "run"),
        ("os._exit(3)", "analyze"),
    ],
)
def test_a_run_that_dies_in_any_phase_has_everything_in_its_file(lab: Lab, phase: str, way: str) -> None:
    """D4, D5, D8, D12."""
    experiment(lab, way)
    result = lab.run("experiment.py", f'phase="{phase}"')
    assert result.status in {KILLED, -signal.SIGSEGV, 3}
    _, datasets = left(lab)
    assert datasets["list"] == list(range(1000))
    assert datasets[f"before {phase}"] == 1
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.get("persistent") == 7


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, "run"), (15, "run"), (15, "analyze")])
def test_a_run_that_is_ended_while_it_waits_has_its_file(lab: Lab, number: int, phase: str) -> None:
    """D5, D6, D7: a delete of a master is a SIGTERM, and a blocked run gets no further chance from a master."""
    experiment(lab, 'print("ready", flush=True); time.sleep(60)')
    with lab.start("run", "experiment.py", f'phase="{phase}"') as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        interrupt(process, number)
        _, err = process.communicate(timeout=150)
    assert (process.returncode, without_status(err).strip()) == (
        130,
        f"rexec run: interrupted in {phase}",
    )
    path, datasets = left(lab)
    assert datasets["list"] == list(range(1000))
    with h5py.File(path) as file:
        assert file["rexec"].attrs["status"] == "interrupted"
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.get("persistent") == 7


@pytest.mark.parametrize("number", ORDERLY)
def test_a_run_that_is_ended_in_its_first_moments_leaves_no_journal(lab: Lab, number: int) -> None:
    experiment(lab, 'print("ready", flush=True); time.sleep(60)')
    with lab.start("run", "experiment.py", 'phase="run"') as process:
        try:
            assert within(150, lambda: [*lab.folder.glob("results/*/*/*.journal")])
            interrupt(process, number)
            _, err = process.communicate(timeout=150)
        finally:
            process.kill()
    assert process.returncode == 130
    assert without_status(err).strip().splitlines()[-1].startswith("rexec run: interrupted in ")
    assert [each for each in lab.folder.glob("results/*/*/*") if each.suffix != ".h5"] == []
    for path in lab.results():  # it was further than its build
        assert verify(path) == []


def test_values_that_hdf5_cannot_take_cost_nothing_else(lab: Lab) -> None:
    """D2, D3: identity and every other dataset are there, and the experiment's own error is the headline."""
    lab.experiment(
        """
def run(self):
    odd = [None, {1: {2}}, {3}, 2**70, [[1], [2, 3]], [1, "a"], b"a\\0", "a\\0"]
    for number, value in enumerate(odd):
        self.set_dataset(f"odd{number}", value)
    self.set_dataset("a", 1)
    self.set_dataset("a/b", 2)
    self.set_dataset("after", 2.5)
    raise ValueError("the beam is lost")
"""
    )
    result = lab.run("experiment.py")
    assert result.status == 1
    assert "ValueError: the beam is lost" in result.err
    _, datasets = left(lab)
    assert datasets["after"] == 2.5
    assert (datasets["a"], datasets["a/b"]) == (1, 2)
    assert datasets["odd1"] == {1: {2}}
    assert len(datasets) == 11


@pytest.mark.skipif(os.name == "nt", reason="a folder stands in the way there in another manner")
def test_a_file_that_cannot_be_finished_does_not_hide_the_experiments_error(lab: Lab) -> None:
    """D3: both are said, the experiment's first, and everything is in the journal."""
    lab.experiment(
        """
def run(self):
    import glob, os
    self.set_dataset("x", 1)
    (path,) = glob.glob("results/*/*/*.h5")
    os.unlink(path)
    os.mkdir(path)
    raise ValueError("the beam is lost")
"""
    )
    result = lab.run("experiment.py")
    assert result.status == 1
    assert result.err.index("ValueError: the beam is lost") < result.err.index("could not be finished")
    assert "rexec results recover" in result.err
    assert "writer.py" not in result.err
    (taken,) = lab.results()
    taken.rmdir()
    _, datasets = left(lab)
    assert datasets == {"x": 1}


def test_a_large_array_is_broadcast_and_read_by_a_client() -> None:
    """D11: 80 MB, beyond what ends an experiment of ARTIQ."""
    db = DatasetDB()
    with MasterThread(db) as served, Client("127.0.0.1", served.port, "dataset_db", timeout=150) as client:
        manager = DatasetManager(db)
        manager.set("image", np.arange(20_000_000, dtype=np.int32), broadcast=True)
        assert int(client.get("image").sum(dtype=np.int64)) == 199999990000000


SYNC_FAILS = """
import os, sys
real = os.fdatasync
def fails(descriptor):
    if os.path.exists("broken"):
        raise OSError({number}, os.strerror({number}))
    real(descriptor)
os.fdatasync = fails
sys.argv = ["rexec", "run", "experiment.py"]
from rexec.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="the journal is synced by another call here")
@pytest.mark.parametrize(("number", "text"), [(5, "Input/output error"), (28, "No space left on device")])
def test_a_disk_that_fails_is_said_at_once_ends_the_run_and_costs_nothing(
    lab: Lab, number: int, text: str
) -> None:
    """The next change is refused, the user reads why, and the file is finished from what was kept."""
    lab.experiment(
        """
def run(self):
    import time
    self.set_dataset("x", [])
    for number in range(600):
        self.append_to_dataset("x", number)
        open("broken", "w").close()  # from here on, after a change that is kept
        time.sleep(0.05)
"""
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", SYNC_FAILS.format(number=number)],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "the disk failed to keep" in done.stderr
    assert text in done.stderr
    assert "experiment.py:8" in done.stderr
    assert "rexec/results" not in done.stderr
    path, datasets = left(lab)
    found = datasets["x"]
    assert isinstance(found, list)
    assert found == list(range(len(found)))
    assert found
    assert str(path) in done.stdout


def test_a_results_folder_that_cannot_be_written_stops_the_run_before_it_begins(lab: Lab) -> None:
    (lab.folder / "results").write_text("a file is in the way")
    lab.experiment('def run(self):\n    print("never")\n')
    result = lab.run("experiment.py")
    assert result.status == 2
    assert "never" not in result.out
    result.one_line("results")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_next_run_makes_good_what_a_killed_one_left_and_says_so(lab: Lab) -> None:
    lab.experiment(
        """
def build(self):
    self.setattr_argument("die", BooleanValue(False))
def run(self):
    import os
    self.set_dataset("x", 1)
    if self.die:
        os.kill(os.getpid(), 9)
"""
    )
    assert lab.run("experiment.py", "die=true").status == KILLED
    result = lab.run("experiment.py")
    assert result.status == 0
    killed, _ = lab.results()
    assert f"recovered {killed} (" in result.err
    assert verify(killed) == []
    assert list(lab.folder.rglob("*.journal")) == []


@contextmanager
def tailed(lab: Lab) -> "Iterator[tuple[Path, subprocess.Popen[str], subprocess.Popen[str]]]":
    """Start a run and `rexec results tail`, which has printed its one change; give the path, the run and the tail."""
    lab.experiment(
        """
def run(self):
    import time
    self.set_dataset("x", 1)
    print("ready", flush=True)
    time.sleep(60)
"""
    )
    with lab.start("run", "experiment.py") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        (path,) = lab.results()
        with lab.start("results", "tail", str(path)) as tail:
            assert tail.stdout is not None
            assert any(line.endswith("set      x 1\n") for line in iter(tail.stdout.readline, ""))
            yield path, run, tail


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_tail_follows_a_run_until_it_is_interrupted(lab: Lab) -> None:
    with tailed(lab) as (_, run, tail):
        interrupt(tail)
        _, err = tail.communicate(timeout=150)
        interrupt(run, signal.SIGTERM)
        run.communicate(timeout=150)
    assert (tail.returncode, err.strip()) == (130, "rexec results: interrupted")


def test_tail_ends_with_a_run_that_is_killed(lab: Lab) -> None:
    with tailed(lab) as (path, run, tail):
        run.kill()
        run.communicate(timeout=150)
        _, err = tail.communicate(timeout=150)
    said = f"the run of {path} was killed; `rexec results recover {path.parent}` makes the file"
    assert (tail.returncode, err.strip()) == (2, f"rexec results: error: {said}")
    for more, status in ([], 2), (["--no-follow"], 0):
        with lab.start("results", "tail", str(path), *more) as later:
            later.communicate(timeout=150)
        assert later.returncode == status

"""What of a run is not as it was asked for is said at its end (with -q, too), in its file, and by the exit status."""

import os

import h5py
import pytest

from rexec import results
from rexec.cli.results import main
from rexec.datasets import DatasetDB
from rexec.results import recover_folder
from rexec.wire.pc_rpc import Client
from tests.cli.program import Lab, Result
from tests.ending import KILLED
from tests.ports import without_status
from tests.serving import free_port, serving
from tests.waiting import within

KEEPS = """
def run(self):
    self.set_dataset("kept", 1, persist=True)
"""


def said(lab: Lab, capsys: pytest.CaptureFixture[str], result: Result | None = None) -> list[str]:
    """Return the degraded states of the newest run; file, exports, `results show` and the run's last lines agree."""
    path = lab.results()[-1]
    with results.open(path) as run:
        found = run.degraded
        assert run.to_pandas().attrs["degraded"] == found
        assert run.to_xarray().attrs.get("degraded", "").splitlines() == found
    main(["show", str(path)])
    shown = capsys.readouterr().out.splitlines()
    assert [line[13:] for line in shown if line.startswith("degraded ")] == found
    if result is not None:
        begin = "rexec run: degraded: "
        printed = [line.removeprefix(begin) for line in result.err.splitlines() if line.startswith(begin)]
        assert printed == found
    return found


def in_a_full_database(body: str) -> str:
    """Return an experiment whose database refuses what is set while the file `refuse` exists."""
    return f"""
import os
from rexec.datasets import DatasetError
from rexec.datasets._lmdb import PersistentStore
from rexec.experiment import *

writing = PersistentStore.writing

def refused(self, key):
    if os.path.exists("refuse"):
        raise DatasetError(f"cannot keep dataset {{key!r}}: the disk is full")
    return writing(self, key)

PersistentStore.writing = refused

class Measure(EnvExperiment):
    def run(self):
        open("refuse", "w").close()
{body}
"""


def test_a_run_that_keeps_everything_is_not_degraded(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.experiment(KEEPS)
    result = lab.run("experiment.py")
    assert (result.status, result.err) == (0, "")
    assert said(lab, capsys, result) == []
    with h5py.File(lab.results()[-1]) as file:
        assert "degraded" not in file["rexec"]


def test_a_persistent_dataset_that_was_refused_is_no_success_even_where_the_experiment_goes_on(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.experiment(
        in_a_full_database(
            """
        for number in range(3):
            try:
                self.set_dataset("gain", number, persist=True)
            except DatasetError:
                self.set_dataset("other", number)
"""
        )
    )
    result = lab.run("experiment.py", "-q")
    assert result.status == 1
    assert said(lab, capsys, result) == [
        "dataset gain was not kept by the database: cannot keep dataset 'gain': the disk is full"
    ]
    assert "gain" not in lab.datasets()


def test_a_persistent_dataset_that_was_refused_and_then_kept_is_kept(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.experiment(
        in_a_full_database(
            """
        for number in range(2):
            try:
                self.set_dataset("gain", number, persist=True)
            except DatasetError:
                os.unlink("refuse")
"""
        )
    )
    result = lab.run("experiment.py", "-q")
    assert result.status == 0, result.err
    assert said(lab, capsys, result) == []
    with DatasetDB(lab.folder / "dataset_db.mdb") as db:
        assert db.get("gain") == 1


def test_a_simulated_run_says_that_it_keeps_no_persistent_dataset(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.devices({"camera": {"type": "controller", "host": "::1", "port": 3999, "command": "none {port}"}})
    lab.experiment(KEEPS)
    result = lab.run("experiment.py", "--simulate", "-q")
    assert result.status == 0, result.err
    assert said(lab, capsys, result) == [
        "persistent datasets are not kept: a simulated run changes none of the laboratory's"
    ]
    lab.experiment('def run(self):\n    self.set_dataset("a", 1)\n')
    assert said(lab, capsys, lab.run("experiment.py", "--simulate")) == []


class Camera:
    """A driver."""

    def frame(self) -> int:
        """Return an image."""
        return 1


def test_a_controller_that_another_process_uses_is_named(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """
def build(self):
    self.setattr_device("camera")
def run(self):
    self.set_dataset("frame", self.camera.frame())
"""
    with serving({"camera": Camera()}) as port:
        lab.devices(
            {"camera": {"type": "controller", "host": "127.0.0.1", "port": port, "command": "none {port}"}}
        )
        lab.experiment(body)
        alone = lab.run("experiment.py")
        assert (alone.status, alone.err) == (0, "")
        assert said(lab, capsys, alone) == []
        client = Client("127.0.0.1", port, "camera")
        try:
            result = lab.run("experiment.py", "-q")
        finally:
            client.close_rpc()
    assert result.status == 0, result.err
    (text,) = said(lab, capsys, result)
    assert text.startswith(f"controller camera is shared with pid {os.getpid()} (")


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
def test_a_journal_that_was_replaced_is_said_also_where_the_run_is_killed(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.experiment(
        """
def run(self):
    import os, glob, signal, time
    self.set_dataset("x", 1)
    (journal,) = glob.glob("results/*/*/*.journal")
    os.unlink(journal)
    while not os.path.exists(journal) or not os.path.getsize(journal):
        time.sleep(0.01)
    while True:
        with open(journal, "rb") as file:
            if b"written " + b"anew" in file.read():  # not as in this source, which the journal has, too
                break
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
"""
    )
    assert lab.run("experiment.py").status == KILLED
    assert [each.outcome for each in recover_folder(lab.folder / "results")] == ["recovered"]
    (text,) = said(lab, capsys)
    assert text.endswith(".journal was removed or replaced while the run went on; it is written anew")
    assert int(lab.datasets()["x"]) == 1


REFRESHES = """
from pathlib import Path
from rexec.experiment import *
from rexec.results.keeper import Keeper
from rexec.results.errors import ResultsError
from rexec.results.refresher import Refresher
import os, signal, time

def bring_up_to(self, size, really=Keeper.bring_up_to):
    if Path("fail").exists():
        raise ResultsError("cannot write: no space left")
    really(self, size)

made = []

def shorter(self, *args, really=Refresher.__init__, **kwargs):
    really(self, *args, **{**kwargs, "interval": 0.02})
    made.append(self)

Keeper.bring_up_to = bring_up_to
Refresher.__init__ = shorter

class Measure(EnvExperiment):
    def run(self):
        Path("fail").touch()
        self.set_dataset("x", 1)
        while not made[0]._failing:
            time.sleep(0.01)
        if BACK:
            Path("fail").unlink()
            while made[0]._failing:
                time.sleep(0.01)
"""


@pytest.mark.parametrize("back", [False, True])
def test_a_refresh_that_fails_is_said_until_one_succeeds(
    lab: Lab, capsys: pytest.CaptureFixture[str], back: bool
) -> None:
    lab.experiment(REFRESHES.replace("BACK", str(back)))
    result = lab.run("experiment.py", "-q")
    assert result.status == 0, result.err
    texts = said(lab, capsys, result)
    if back:
        assert texts == []
    else:
        (text,) = texts
        assert text.endswith(" on the file was not refreshed: cannot write: no space left")


@pytest.mark.skipif(os.name != "posix", reason="a thread keeps the file there")
def test_a_keeper_process_that_is_lost_is_said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.experiment(
        """
import os, signal, time
from rexec.experiment import *
from rexec.results.refresher import Refresher

made = []

def shorter(self, *args, really=Refresher.__init__, **kwargs):
    really(self, *args, **{**kwargs, "interval": 0.02, "process_from": 1})
    made.append(self)

Refresher.__init__ = shorter

class Measure(EnvExperiment):
    def run(self):
        self.set_dataset("x", [])
        while made[0].process is None:
            self.append_to_dataset("x", 1)
            time.sleep(0.01)
        os.kill(made[0].process, 9)
        while made[0].process is not None:
            self.append_to_dataset("x", 1)
            time.sleep(0.01)
"""
    )
    result = lab.run("experiment.py", "-q")
    assert result.status == 0, result.err
    (text,) = said(lab, capsys, result)
    assert "ended by signal 9" in text


class Store:
    """The datasets of a master that dies."""

    def set(self, key: str, value: object, persist: object = None, metadata: object = None) -> None:
        """Take a dataset."""

    def get_metadata(self, key: str) -> dict[str, object]:
        """Return no metadata."""
        return {}

    def update(self, mod: object) -> None:
        """Take a modification."""


def test_a_master_that_dies_is_said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.experiment(
        """
def run(self):
    import os, time
    self.set_dataset("x", [], broadcast=True)
    open("begun", "w").close()
    while not os.path.exists("gone"):
        time.sleep(0.01)
    self.append_to_dataset("x", 1)
"""
    )
    port = free_port()  # nobody else gets it once the master is dead
    with serving({"dataset_db": Store()}, port):
        process = lab.start("run", "experiment.py", "-q", "--master", "127.0.0.1", "--master-port", str(port),
                            "--device-db", "device_db.py")  # fmt: skip
        assert within(150.0, (lab.folder / "begun").exists)
    (lab.folder / "gone").touch()
    out, err = process.communicate(timeout=150)
    result = Result(process.returncode, out, without_status(err))
    assert result.status == 0, result.err
    (text,) = said(lab, capsys, result)
    assert text.startswith(f"the master at 127.0.0.1:{port} was gone from ")

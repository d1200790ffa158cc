"""A whole run in this process: what its report says, and what is in its result file."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from devicedb import DeviceDatabase, from_dict
from rexec.datasets import DatasetDB
from rexec.experiment import ExperimentError
from rexec.experiment.runner import RunPlan, RunReport, _folders, imported, run
from rexec.results import ResultsError, ResultsWriter
from rexec.testing import QuietWatcher
from rexec.wire import pyon
from tests.ending import ORDERLY
from tests.ground.forking import program, said
from tests.immutable import changeable
from tests.serving import serving


class Seen(QuietWatcher):
    """Notes the progress of a run."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.begun: list[tuple[int, str]] = []
        self.datasets: Any = None
        self.devices: Any = None
        self.at_phase: Callable[[str], None] = lambda name: None

    def begin(self, rid: int, title: str, datasets: Any, devices: Any) -> None:
        self.begun.append((rid, title))
        self.datasets, self.devices = datasets, devices

    def phase(self, name: str) -> None:
        self.phases.append(name)
        self.at_phase(name)


class Runs:
    """Runs experiments in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = Seen()
        self.db = DatasetDB()

    def __call__(
        self, body: str, arguments: Any = None, database: DeviceDatabase | None = None, **plan: Any
    ) -> RunReport:
        file = self.folder / "measure.py"
        indented = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
        file.write_text(
            f'from rexec.experiment import *\n\nclass Measure(EnvExperiment):\n    """Measure a thing"""\n{indented}'
        )
        devices = database if database is not None else from_dict({}, "device_db.py")
        plan = {"root": self.folder, **plan}
        return run(RunPlan(file, None, arguments or {}, devices, self.db, **plan), self.seen)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    with made.db:
        yield made


def kept(report: RunReport) -> dict[str, Any]:
    """Return what the result file says of the run, by the last part of each name, and the names of its datasets."""
    assert report.path is not None
    with h5py.File(report.path) as file:
        found: dict[str, Any] = {"status": file["rexec"].attrs["status"], "datasets": set(file["datasets"])}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape == ():
                found[name.rpartition("/")[2]] = item.asstr()[()] if item.dtype == object else item[()]

        file.visititems(note)
    return found


def test_plans_and_reports_do_not_change() -> None:
    assert changeable("rexec.experiment") == {"RunOutcome"}


def test_a_run_is_reported_and_its_watcher_told(runs: Runs) -> None:
    report = runs('def run(self):\n    self.set_dataset("x", 1)\n    self.set_dataset("y", 2, archive=False)')
    assert (report.class_name, report.outcome.status, report.failure) == ("Measure", "completed", None)
    assert set(report.datasets) == {"x"}
    assert list(report.degraded) == []
    assert report.path is not None
    assert report.path.is_relative_to(runs.folder / "results")
    assert runs.seen.begun == [(report.rid, "Measure a thing")]
    assert runs.seen.phases == ["build", "prepare", "run", "analyze", "writing results"]
    assert runs.seen.datasets.keys() == {"x"}
    assert runs("def run(self):\n    pass").rid == report.rid + 1


PERSISTENT = {
    "nothing": ("pass", False),
    "of its own": ('self.set_dataset("x", 1)', False),
    "set": ('self.set_dataset("x", 1)\nself.set_dataset("y", 1, persist=True)', True),
    "read": ('self.get_dataset("before", archive=True)', True),
}


@pytest.mark.parametrize("what", PERSISTENT)
def test_persistent_datasets_are_noted(runs: Runs, what: str) -> None:
    runs.db.set("before", 1, persist=True)
    statements, expected = PERSISTENT[what]
    report = runs("def run(self):\n    " + statements.replace("\n", "\n    "))
    assert report.is_persistent is expected


def test_the_result_file_says_what_was_run_with_what(runs: Runs) -> None:
    (runs.folder / "helper_of_runner.py").write_text("class Shutter:\n    def __init__(self, dmgr): pass\n")
    shutter = {"type": "local", "module": "helper_of_runner", "class": "Shutter", "arguments": {}}
    body = """
def build(self):
    import helper_of_runner
    self.setattr_argument("n", NumberValue(3.0))
    self.setattr_argument("given", NumberValue(3.0))
    self.setattr_device("scheduler")
    self.setattr_device("second")
def run(self):
    assert self.scheduler.rid == self.n
    assert self.scheduler.expid["class_name"] == "Measure"
    self.get_device("first")
"""
    first = runs("def run(self):\n    pass")
    report = runs(
        body,
        {"given": 5.0},
        from_dict(dict.fromkeys(("second", "first", "third"), shutter), "device_db.py"),
        former_arguments={"n": float(first.rid + 1)},
        log_level=logging.INFO,
        command=("rexec", "run"),
    )
    sys.modules.pop("helper_of_runner", None)
    assert report.outcome.error is None
    found = kept(report)
    assert pyon.decode(found["expid"])["arguments"] == {"n": float(report.rid), "given": 5.0}
    assert pyon.decode(found["expid"])["log_level"] == logging.INFO
    assert pyon.decode(found["user_arguments"]) == {"n": float(report.rid), "given": 5.0}
    assert found["artiq_version"].startswith("artiq-rexec ")
    assert json.loads(found["devices_used"]) == ["first", "second"]
    assert found["run_time"] == report.outcome.run_time
    assert any(str(value).startswith("class Shutter") for value in found.values())


def test_what_a_run_uses_is_on_the_disk_before_it_begins_and_after_it_once_more(runs: Runs) -> None:
    (runs.folder / "shutter_of_runner.py").write_text("class Shutter:\n    def __init__(self, dmgr): pass\n")
    shutter = {"type": "local", "module": "shutter_of_runner", "class": "Shutter", "arguments": {}}
    found = {}

    def look(name: str) -> None:
        (journal,) = runs.folder.rglob("*.journal")
        found[name] = journal.read_bytes()

    runs.seen.at_phase = look
    body = 'def build(self):\n    self.setattr_device("a")\ndef run(self):\n    {}'
    database = from_dict({"a": shutter, "b": shutter}, "device_db.py")
    for statement, times in (("pass", 1), ('self.get_device("b")', 2)):
        runs(body.format(statement), database=database)
        sys.modules.pop("shutter_of_runner", None)
        before = found["build"].count(b"devices_used")
        assert found["prepare"].count(b"devices_used") - before == 1
        assert found["writing results"].count(b"devices_used") - before == times
    report = runs("def run(self):\n    pass")
    assert "devices_used" not in kept(report)


@pytest.mark.parametrize(
    ("phase", "status"),
    [("run", "interrupted"), ("analyze", "interrupted"), ("writing results", "completed")],
)
def test_a_signal_ends_the_experiment_and_not_the_writing_of_its_results(
    runs: Runs, phase: str, status: str
) -> None:
    runs.seen.at_phase = lambda name: signal.raise_signal(signal.SIGINT) if name == phase else None
    body = 'def prepare(self):\n    self.set_dataset("x", 1)\ndef run(self):\n    pass'
    report = runs(body)
    assert (report.outcome.status, report.outcome.asked_to_end) == (status, status == "interrupted")
    assert (kept(report)["datasets"], kept(report)["status"]) == ({"x"}, status)


@pytest.mark.parametrize("number", ORDERLY)
@pytest.mark.parametrize("moment", ["before the journal", "behind it", "when it is shown"])
def test_a_signal_before_the_build_ends_a_run_that_leaves_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: str, number: int
) -> None:
    created = ResultsWriter.create

    def create(*arguments: Any, **options: Any) -> ResultsWriter:
        if moment == "before the journal":
            signal.raise_signal(number)
        writer = created(*arguments, **options)
        if moment == "behind it":
            signal.raise_signal(number)
        return writer

    monkeypatch.setattr(ResultsWriter, "create", create)
    if moment == "when it is shown":
        monkeypatch.setattr(runs.seen, "begin", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    report = runs("def run(self):\n    pass")
    assert (report.outcome.status, report.outcome.phase, report.path) == ("interrupted", "build", None)
    assert "interrupted before the build" in caplog.text
    assert [each for each in (runs.folder / "results").rglob("*") if each.is_file()] == []
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", ORDERLY)
def test_a_signal_while_an_experiment_is_imported_interrupts_it(runs: Runs, number: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        runs(f"import signal\nsignal.raise_signal({int(number)})\ndef run(self):\n    pass")
    assert not (runs.folder / "results").exists()


def test_how_devices_are_connected_is_as_planned(runs: Runs) -> None:
    def before(name: str) -> None:
        """Nothing is to be done."""

    runs("def run(self):\n    pass", before_connect=before, connect_timeout=3.0, wait_for_devices=5.0)
    devices = runs.seen.devices
    assert (devices._before_connect, devices._connect_timeout, devices._wait) == (before, 3.0, 5.0)


def test_a_file_that_hides_this_program_stops_the_run_before_it_begins(runs: Runs) -> None:
    (runs.folder / "schemas.py").write_text("")
    with pytest.raises(ExperimentError, match=r"schemas\.py hides a package"):
        runs("def run(self):\n    pass")


def test_a_lost_lease_is_said(runs: Runs) -> None:
    def lose(name: str) -> None:
        runs.seen.devices.lease_troubles = lambda: ["the lease of camera was lost"]

    runs.seen.at_phase = lose
    assert list(runs("def run(self):\n    pass").degraded) == ["the lease of camera was lost"]


def test_sources_that_are_sent_are_kept_once_and_clients_are_labelled(runs: Runs) -> None:
    body = """
def run(self):
    from rexec.ground.client_label import current_label
    from rexec.ground.sent_sources import note_sent
    for text in ("def a(): ...", "def b(): ...", "def a(): ..."):
        note_sent(text)
    self.set_dataset("label", current_label())
"""
    report = runs(body)
    assert report.datasets["label"].value == f"run {report.rid}"
    assert {"def a(): ...", "def b(): ..."} <= set(map(str, kept(report).values()))


def test_the_version_of_an_artiq_that_the_experiment_loads_is_kept(runs: Runs) -> None:
    body = """
def build(self):
    import sys, types
    sys.modules["artiq"] = types.ModuleType("artiq")
    sys.modules["artiq"].__version__ = "8.9"
def run(self):
    pass
"""
    before = sys.modules.get("artiq")
    try:
        assert kept(runs(body))["artiq_version"] == "8.9"
    finally:
        del sys.modules["artiq"]
        if before is not None:
            sys.modules["artiq"] = before


def test_an_experiment_that_is_never_built_leaves_no_file_unless_it_has_data(runs: Runs) -> None:
    report = runs("def build(self):\n    1 / 0")
    assert isinstance(report.outcome.error, ZeroDivisionError)
    assert (report.path, report.failure) == (None, None)
    assert [path for path in runs.folder.rglob("*") if path.suffix in {".h5", ".journal"}] == []
    report = runs('def build(self):\n    self.set_dataset("x", 1)\n    1 / 0')
    assert kept(report)["datasets"] == {"x"}
    assert kept(report)["status"] == "failed"


def test_a_run_that_ends_itself_has_a_remark(runs: Runs) -> None:
    report = runs("def run(self):\n    raise SystemExit")
    assert list(report.degraded) == ["the experiment ended itself in run() by sys.exit()"]
    assert list(runs("def run(self):\n    pass").degraded) == []


@pytest.mark.skipif(os.name == "nt", reason="a folder stands in the way there in another manner")
def test_a_file_that_cannot_be_finished_is_in_the_report(runs: Runs) -> None:
    body = f"""
def run(self):
    import os
    from pathlib import Path
    self.set_dataset("x", 1)
    (path,) = Path({str(runs.folder)!r}).glob("results/*/*/*.h5")
    os.unlink(path)
    os.mkdir(path)
"""
    report = runs(body)
    assert (report.path, report.outcome.error) == (None, None)
    assert isinstance(report.failure, ResultsError)


def test_a_database_that_cannot_be_finished_is_said_and_unkept(
    runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    body = """
def run(self):
    from rexec.datasets import DatasetError
    def close():
        raise DatasetError("the disk is full")
    self._HasEnvironment__dataset_mgr.close = close
    self.set_dataset("x", 1)
"""
    report = runs(body)
    assert list(report.degraded) == ["the disk is full"]
    assert report.degraded.is_unkept
    assert kept(report)["datasets"] == {"x"}
    assert "the disk is full" in caplog.messages


def test_a_given_file_is_replaced_only_where_that_is_said(runs: Runs) -> None:
    path = runs.folder / "mine.h5"
    body = 'def run(self):\n    self.set_dataset("x", 1)'
    assert runs(body, hdf5=path).path == path
    with pytest.raises(ResultsError, match=r"mine\.h5"):
        runs(body, hdf5=path)
    assert runs(body.replace('"x"', '"y"'), hdf5=path, overwrite=True).path == path
    with h5py.File(path) as file:
        assert set(file["datasets"]) == {"y"}


def test_modules_beside_the_device_database_can_be_imported_and_the_experiments_own_come_first(
    runs: Runs,
) -> None:
    drivers = runs.folder / "drivers"
    drivers.mkdir()
    (drivers / "device_db.py").write_text("device_db = {}\n")
    (drivers / "driver_of_runner.py").write_text("where = 'database'\n")
    body = (
        'def run(self):\n    import driver_of_runner\n    self.set_dataset("where", driver_of_runner.where)'
    )
    for origin, where in ((drivers / "device_db.py", "database"), (runs.folder / "device_db.py", "none")):
        report = runs(body, database=from_dict({}, str(origin)))
        sys.modules.pop("driver_of_runner", None)
        assert (report.outcome.error is None) is (where == "database")
    (runs.folder / "driver_of_runner.py").write_text("where = 'experiment'\n")
    report = runs(body, database=from_dict({}, str(drivers / "device_db.py")))
    sys.modules.pop("driver_of_runner", None)
    assert report.datasets["where"].value == "experiment"


OTHER = """
import os, time
from rexec.wire.pc_rpc import Client
if os.fork() == 0:  # not a child of the run's process, which would be one of its own
    client = Client("127.0.0.1", {port}, "camera")
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="another process is made by a fork")
def test_a_controller_that_another_process_uses_is_named_once(runs: Runs) -> None:
    class Camera:
        def frame(self) -> int:
            return 1

    body = """
def build(self):
    self.setattr_device("camera")
def run(self):
    self.set_dataset("frame", self.camera.frame())
"""
    with serving({"camera": Camera()}) as port:
        entry = {"type": "controller", "host": "127.0.0.1", "port": port, "command": "none {port}"}
        database = from_dict({"camera": entry}, "device_db.py")
        assert list(runs(body, database=database).degraded) == []
        with program(OTHER.format(port=port)) as starter:
            pid = said(starter)
            starter.wait()
            (text,) = runs(body, database=database).degraded
            assert text.startswith(f"controller camera is shared with pid {pid} (")


LEAVES = """
import os
from pathlib import Path
from rexec.results import ResultsWriter
from schemas import RunIdentity
writer = ResultsWriter.create(Path({path!r}), RunIdentity(rid=1, class_name="Killed", file="killed.py", start_time=1.0))
print("written", flush=True)
os._exit(9)
"""


@pytest.mark.skipif(os.name == "nt", reason="the end of a process is none of a killed one there")
def test_what_a_killed_run_left_is_made_good_and_said(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    path = runs.folder / "results" / "2026-01-01" / "00" / "000000001-Killed.h5"
    path.parent.mkdir(parents=True)
    with program(LEAVES.format(path=str(path))) as killed:
        assert said(killed) == "written"
        killed.wait()
    runs("def run(self):\n    pass")
    assert any(line.startswith(f"recovered {path} (") for line in caplog.messages)


WRONG = {
    "1 / 0": r"measure\.py:3: importing it raised ZeroDivisionError: division by zero$",
    "raise ValueError('a\\n b')": r"measure\.py:3: importing it raised ValueError: a b$",
    "import no_such_module_of_runner": r"Install the package that has 'no_such_module_of_runner', or put its folder",
    "from os import no_such_name": r"importing it raised ImportError: .*\(unknown location\)$|\.py\)$",
    "raise ImportError('as it is')": r"importing it raised ImportError: as it is$",
    "raise SystemExit(3)": r"measure\.py:3: it calls sys\.exit\(3\)$",
    "x = (": r"measure\.py:3: syntax error",
}


@pytest.mark.parametrize("statement", WRONG)
def test_a_file_that_cannot_be_imported_says_where_and_why(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "measure.py"
    file.write_text(f"import os\n\n{statement}\n")
    plan = RunPlan(file, None, {}, from_dict({}, "device_db.py"), DatasetDB(), root=tmp_path)
    with pytest.raises(ExperimentError, match=WRONG[statement]):
        run(plan, QuietWatcher())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("error", "said"), [("1 / 0", "importing it raised"), ("raise SystemExit(3)", "it calls")]
)
def test_a_file_without_a_line_to_show_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, said: str
) -> None:
    monkeypatch.setattr("rexec.experiment.runner.place", lambda error, file: None)
    (tmp_path / "measure.py").write_text(error)
    with pytest.raises(ExperimentError, match=rf"^measure\.py: {said}"):
        imported(tmp_path / "measure.py")


def test_modules_come_from_the_folder_of_a_device_database_that_is_a_file(tmp_path: Path) -> None:
    own, other, file = tmp_path / "own", tmp_path / "other", tmp_path / "own" / "measure.py"
    for folder in (own, other):
        folder.mkdir()
        (folder / "device_db.py").write_text("")
    for origin, folders in (
        (own / "device_db.py", [own]),
        (other / "device_db.py", [own, other]),
        (other / "absent.py", [own]),
    ):
        assert _folders(file, str(origin)) == folders

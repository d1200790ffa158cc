"""The file while a run goes on: kept by a process beside it, whole at any time, at the cost of what changed."""

import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import h5py
import numpy as np
import psutil
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.ground.child import Child
from rexec.results import ResultsError, ResultsWriter, copies, fold, journal_path, keeper, recover, verify
from rexec.results.journal import reader
from rexec.results.refresher import PROCESSES
from schemas import RunIdentity
from tests.supervise.controllers import alive
from tests.waiting import within

if TYPE_CHECKING:
    from _typeshed import TraceFunction

needs_process = pytest.mark.skipif(not PROCESSES, reason="the file is kept by a thread on this system")
needs_two_copies = pytest.mark.skipif(
    not copies._CAN_TELL_UNUSED, reason="needs leases on files, which are Linux's"
)


def begun(path: Path, **options: Any) -> tuple[ResultsWriter, DatasetManager]:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(path, identity, **{"refresh_interval": 0} | options)
    return writer, DatasetManager(DatasetDB(), sink=writer)


def wait_for(condition: Callable[[], object]) -> None:
    assert within(150.0, condition)


def files_of(process: int) -> list[str]:
    """Return the regular files that a process has open."""
    try:
        return [each.path for each in psutil.Process(process).open_files()]
    except psutil.NoSuchProcess:  # or a zombie
        return []


_PF_EXITING: Final = 4
"""Of the flags of a process: `include/linux/sched.h`."""


def executes_nothing(process: int) -> bool:
    """Whether a process has ended, or only the system's part of its end is left: its files are taken from it."""
    if sys.platform != "linux":
        return files_of(process) == []
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return True
    return bool(int(fields[6]) & _PF_EXITING)


def rows(path: Path) -> int:
    with h5py.File(path) as file:
        return len(file["datasets/x"]) if "datasets/x" in file else 0


def kept_by_process(path: Path) -> tuple[ResultsWriter, DatasetManager, int]:
    """Begin a run whose file a process keeps; return the process's number, too."""
    writer, manager = begun(path, refresh_interval=0.02, process_from=1)
    manager.set("x", [1.0])
    wait_for(lambda: writer._refresher.process)
    wait_for(lambda: rows(path) == 1)
    process = writer._refresher.process
    assert process is not None
    return writer, manager, process


@needs_process
def test_a_run_with_much_to_keep_has_its_file_kept_by_a_process(tmp_path: Path) -> None:
    writer, manager, process = kept_by_process(tmp_path / "r.h5")
    for number in range(500):
        manager.append_to("x", float(number))
    wait_for(lambda: rows(writer.path) == 501)
    writer.snapshot()
    writer.close("failed", error="why")
    assert not psutil.pid_exists(process)
    assert os.listdir(tmp_path) == ["r.h5"]
    assert verify(writer.path) == []
    with h5py.File(writer.path) as file:
        assert (len(file["datasets/x"]), file["rexec"].attrs["status"]) == (501, "failed")


@needs_process
def test_ctrl_c_during_a_refresh_by_the_process_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, manager, process = kept_by_process(tmp_path / "r.h5")
    writer._refresher.stop()
    os.kill(process, signal.SIGSTOP)
    manager.append_to("x", 2.0)
    heed = writer._refresher._heed

    def interrupted(child: Child) -> None:
        """Wait for the answer, which does not come; Ctrl-C does, once the order is given."""
        # To the process, as a terminal does: a signal to another thread would not end the main thread's wait.
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        heed(child)

    with monkeypatch.context() as patch:
        patch.setattr(writer._refresher, "_heed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.snapshot()
    manager.append_to("x", 3.0)
    os.kill(process, signal.SIGCONT)
    # The answer to the first order is not taken for that to the last one.
    writer.close("interrupted")
    assert rows(writer.path) == 3
    with h5py.File(writer.path) as file:
        assert file["rexec"].attrs["status"] == "interrupted"
    assert verify(writer.path) == []
    assert os.listdir(tmp_path) == ["r.h5"]


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_ctrl_c_anywhere_in_a_refresh_by_the_run_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    for number in range(10):
        manager.set(f"x{number}", number)
    lines = iter(range(at))

    def interrupt(frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
        if frame.f_code.co_filename not in (keeper.__file__, copies.__file__, reader.__file__, fold.__file__):
            return None
        if event == "line" and next(lines, None) is None:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            writer.snapshot()
    finally:
        sys.settrace(before)
    writer.close("interrupted")
    with h5py.File(writer.path) as file:
        assert sorted(file["datasets"]) == sorted(f"x{number}" for number in range(10))
    assert verify(writer.path) == []
    assert os.listdir(tmp_path) == ["r.h5"]


def test_a_run_with_little_to_keep_starts_no_process(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5", refresh_interval=0.01)
    manager.set("x", [1.0])
    wait_for(lambda: rows(writer.path) == 1)
    assert writer._refresher.process is None
    writer.close()


@needs_process
def test_a_process_that_is_killed_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer, manager, process = kept_by_process(tmp_path / "r.h5")
    os.kill(process, 9)
    manager.append_to("x", 2.0)
    wait_for(lambda: caplog.records)
    wait_for(lambda: writer._refresher.process is None)
    manager.append_to("x", 3.0)
    with pytest.raises(ResultsError, match="it is written at the end"):
        writer.snapshot()
    writer.close()
    assert rows(writer.path) == 3
    assert verify(writer.path) == []
    assert os.listdir(tmp_path) == ["r.h5"]
    (record,) = caplog.records
    assert (
        "ended by signal 9; the file is written at the end of the run, nothing is lost" in record.getMessage()
    )


@needs_process
def test_a_process_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [1.0])
    writer._refresher._start_process()
    process = writer._refresher.process
    assert process is not None
    monkeypatch.setattr("rexec.results.refresher.SILENCE", 0.3)
    os.kill(process, signal.SIGSTOP)
    manager.append_to("x", 2.0)
    writer.close()
    assert not psutil.pid_exists(process)
    assert rows(writer.path) == 2


@needs_process
def test_where_no_process_can_be_started_the_run_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such python"))
    writer, manager = begun(tmp_path / "r.h5", refresh_interval=0.02, process_from=1)
    manager.set("x", [1.0])
    wait_for(lambda: rows(writer.path) == 1)
    assert writer._refresher.process is None
    writer.close()


KILLED = """
import os, sys, time
from pathlib import Path
from tests.results.test_refresher import kept_by_process
writer, manager, process = kept_by_process(Path(sys.argv[1]))
if os.fork() == 0:          # a child of the run's own that outlives it, and holds all its pipes
    time.sleep(3)
    os._exit(0)
for number in range(1000):
    manager.append_to("x", float(number))
print(process, flush=True)
os.kill(os.getpid(), 9)
"""


@needs_process
def test_the_process_ends_with_a_killed_run_before_anything_is_recovered(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KILLED, tmp_path / "r.h5"], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        process = int(run.stdout.readline())
        run.wait()
        journal = journal_path(tmp_path / "r.h5")
        wait_for(lambda: recover(journal).outcome == "recovered")
        assert executes_nothing(process)
        wait_for(lambda: not alive(process))
    assert rows(tmp_path / "r.h5") == 1001
    assert os.listdir(tmp_path) == ["r.h5"]


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump (hdf5-tools) is not installed")
def test_h5dump_reads_the_file_of_a_run_that_goes_on(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [1.5] * 2000, {"unit": "V"})
    manager.set("odd", {"a": None})
    writer.snapshot()
    manager.append_to("x", 2.5)
    done = subprocess.run(
        ["h5dump", "-d", "/datasets/x", writer.path], capture_output=True, text=True, check=True
    )
    assert "( 2000 )" in done.stdout
    subprocess.run(["h5dump", writer.path], capture_output=True, check=True)
    writer.close()
    subprocess.run(["h5dump", writer.path], capture_output=True, check=True)


@needs_two_copies
def test_a_large_file_is_not_copied_at_every_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 1)
    monkeypatch.setattr(copies, "_clone", lambda *_: False)
    copied: list[int] = []
    real = copies.copy_bytes

    def counted(old: int, new: int, size: int) -> None:
        copied.append(size)
        real(old, new, size)

    monkeypatch.setattr(copies, "copy_bytes", counted)
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("image", np.zeros((50, 50)))
    manager.set("x", [0.0] * 1000)
    for step in range(1, 8):
        manager.append_to("x", float(step))
        manager.mutate("image", step, np.full(50, float(step)))
        manager.mutate("x", step, -1.0)
        manager.set(f"n{step}", step)
        writer.snapshot()
        with h5py.File(writer.path) as file:
            assert file["datasets/x"][:].tolist() == manager.get("x")
            assert np.array_equal(file["datasets/image"], manager.get("image"))
            assert verify(writer.path) == []
    assert len(copied) == 1
    writer.close()
    assert os.listdir(tmp_path) == ["r.h5"]


@needs_two_copies
@pytest.mark.parametrize("how", ["held", "linked"])
def test_a_file_that_somebody_holds_or_has_linked_to_is_never_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 1)
    monkeypatch.setattr(copies, "_clone", lambda *_: False)
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [])
    seen: list[tuple[BinaryIO, bytes]] = []
    for step in range(6):
        manager.append_to("x", float(step))
        writer.snapshot()
        if how == "held":
            file: BinaryIO = writer.path.open("rb")
        else:
            os.link(writer.path, tmp_path / f"linked{step}")
            file = io.BytesIO()  # the link alone must protect the file: nobody has it open
        seen.append((file, writer.path.read_bytes()))
    writer.close()
    for step, (file, content) in enumerate(seen):
        with file:
            now = file.read() if how == "held" else (tmp_path / f"linked{step}").read_bytes()
        assert now == content, step
        with h5py.File(io.BytesIO(content)) as shown:
            assert len(shown["datasets/x"]) == step + 1


@needs_two_copies
def test_a_file_that_nobody_holds_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 1)
    monkeypatch.setattr(copies, "_clone", lambda *_: False)
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [])
    inodes = []
    for step in range(6):
        manager.append_to("x", float(step))
        writer.snapshot()
        inodes.append(writer.path.stat().st_ino)
    writer.close()
    assert len(set(inodes)) == 2


@needs_two_copies
@pytest.mark.parametrize("what", ["moved", "replaced"])
def test_a_file_that_is_taken_away_meanwhile_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 1)
    writer, manager = begun(tmp_path / "r.h5")
    for step in range(4):
        manager.set(f"x{step}", step)
        writer.snapshot()
        writer.path.rename(tmp_path / "away")
        if what == "replaced":
            writer.path.write_text("mine now")
    writer.close()
    assert verify(writer.path) == []
    with h5py.File(writer.path) as file:
        assert len(file["datasets"]) == 4


def test_a_working_file_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", 1)
    writer.snapshot()
    (tmp_path / ".r.h5.working").unlink()
    manager.set("y", 2)
    writer.close()
    assert verify(writer.path) == []


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
@pytest.mark.parametrize("folded_by", ["thread", pytest.param("process", marks=needs_process)])
def test_a_results_folder_that_is_removed_meanwhile_comes_back(
    tmp_path: Path, folded_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "results" / "r.h5"
    writer, manager = begun(path)
    manager.set("x", list(range(1000)))
    if folded_by == "process":
        writer._refresher._start_process()
    writer.snapshot()
    shutil.rmtree(path.parent)
    manager.append_to("x", 1000)
    writer.close()
    assert "was removed or replaced while the run went on; it is written anew" in caplog.text
    assert rows(path) == 1001
    assert verify(path) == []
    assert os.listdir(path.parent) == ["r.h5"]


def test_holes_in_a_file_do_not_pile_up(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    random = np.random.default_rng(1)
    for step in range(30):
        manager.set("image", random.random((100 + step, 100)))
        writer.snapshot()
    writer.close()
    assert writer.path.stat().st_size < 3 * 130 * 100 * 8


def test_artiqs_call_for_writing_leaves_later_refreshes_as_they_are(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("image", np.zeros((50, 50)))
    writer.snapshot()
    manager.mutate("image", 3, 1.0)
    with h5py.File(tmp_path / "other", "w") as file:
        manager.write_hdf5(file)
    writer.close()
    with h5py.File(writer.path) as file:
        assert file["datasets/image"][3].tolist() == [1.0] * 50


def test_a_change_after_the_end_is_refused(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    writer.close()
    with pytest.raises(Exception, match="the run has ended, this change came too late"):
        manager.set("x", 1)


def test_what_a_refresh_cannot_write_is_said_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer, manager = begun(tmp_path / "r.h5", refresh_interval=0.02, process_from=1)
    manager.set("x", [1.0])
    wait_for(lambda: rows(writer.path) == 1)
    writer.path.unlink()
    writer.path.mkdir()
    manager.append_to("x", 2.0)
    wait_for(lambda: caplog.records)
    writer.path.rmdir()
    wait_for(lambda: writer.path.is_file() and rows(writer.path) == 2)
    writer.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the journal has everything, trying again" in caplog.text


def test_a_refresh_is_bounded_by_the_journal_at_its_start(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", [])
    size = writer.journal_size
    for number in range(100):
        manager.append_to("x", float(number))
    writer._refresher._bring_up_to(size)
    with h5py.File(writer.path) as file:
        assert len(file["datasets/x"]) == 0
        assert file["rexec"].attrs["journal_size"] == size
    writer.close()
    assert rows(writer.path) == 100

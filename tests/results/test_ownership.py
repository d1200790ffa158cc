"""A run's journal and file belong to one process, and hold everything, whatever others do to their names."""

import dis
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsError, ResultsWriter, journal_path, open, recover, verify
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.writer import Journal
from schemas import RunIdentity
from tests.threads.opcodes import trace_opcodes

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")


def begun(path: Path, **options: Any) -> tuple[ResultsWriter, DatasetManager]:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(path, identity, **{"refresh_interval": 0, "sync_interval": 0} | options)
    return writer, DatasetManager(DatasetDB(), sink=writer)


# Forked by a run: what the child does, and how it ends, must change nothing of the run's.
FORKED = """
import atexit, gc, json, os, signal, sys, time
from pathlib import Path
from tests.results.test_ownership import begun

options = {"refresh_interval": 0.01, "sync_interval": 0.01, "process_from": int(sys.argv[3]) or None}
writer, manager = begun(Path(sys.argv[1]), **options)
manager.set("x", [0.0])
atexit.register(lambda: writer.__exit__(None, None, None))
while sys.argv[3] == "1" and writer._refresher.process is None:
    manager.append_to("x", 0.0)
    time.sleep(0.01)
before = len(manager.get("x"))
read, write = os.pipe()
with writer:
    child = os.fork()
    if child == 0:
        said = []
        for act in (
            lambda: manager.append_to("x", -1.0),
            lambda: manager.set("y", 1),
            lambda: manager.mutate("x", 0, 5.0),
            lambda: writer.update_identity(run_time=5.0),
            lambda: writer.sync(),
            lambda: writer.snapshot(),
            lambda: writer.close(),
        ):
            try:
                act()
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
            else:
                said.append("nothing")
        writer.discard()
        os.write(write, json.dumps(said).encode())
        os.close(write)
        how = sys.argv[2]
        if how == "raise":
            raise RuntimeError("in the child")
        if how == "exit":
            sys.exit(3)
        if how == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        if how == "_exit":
            os._exit(0)
        # "return": the child goes on as if it were the run
    else:
        os.close(write)
        said = b""
        while piece := os.read(read, 65536):
            said += piece
        os.waitpid(child, 0)
        for number in range(100):
            manager.append_to("x", float(number))
    if child == 0:
        gc.collect()
if child:
    print(json.dumps([before, json.loads(said)]))
"""


@needs_fork
@pytest.mark.parametrize("process", ["0", "1"])
@pytest.mark.parametrize("how", ["raise", "exit", "signal", "_exit", "return"])
def test_a_forked_process_changes_nothing_of_the_run(tmp_path: Path, how: str, process: str) -> None:
    path = tmp_path / "r.h5"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, path, how, process],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, said = json.loads(done.stdout)
    assert len(said) == 7
    for text in said:
        assert "fork" in text, said
        assert "give values back to it" in text or "return the values to it" in text
    assert os.listdir(tmp_path) == ["r.h5"]
    with open(path) as run:
        assert run["x"] == [0.0] * before + [float(number) for number in range(100)]
        assert list(run) == ["x"]
        assert run.status == "completed"


@needs_fork
def test_a_forked_process_that_outlives_a_killed_run_does_not_hold_its_claim(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom tests.results.test_ownership import begun\n"
        "writer, manager = begun(Path(sys.argv[1]))\nmanager.set('x', [1.0])\n"
        "if os.fork() == 0:\n    sys.stdout.close()\n    os.close(1)\n    time.sleep(60)\n    os._exit(0)\n"
        "print('ready', flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path / "r.h5"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        try:
            # To the end, which comes when the forked process has begun, too: only then has it let go of the claim.
            assert run.stdout.read() == "ready\n"
            run.wait()
            assert recover(journal_path(tmp_path / "r.h5")).outcome == "recovered"
        finally:
            os.killpg(run.pid, 9)


def square(number: int) -> int:
    """Do the work of a pool."""
    return number * number


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_run_that_uses_a_pool_of_processes_keeps_all_values(tmp_path: Path, method: str) -> None:
    writer, manager = begun(tmp_path / "r.h5", refresh_interval=0.01)
    manager.set("x", [])
    with multiprocessing.get_context(method).Pool(2) as pool:
        for value in pool.imap(square, range(20)):
            manager.append_to("x", value)
    writer.close()
    with open(tmp_path / "r.h5") as run:
        assert run["x"] == [number * number for number in range(20)]


def test_threads_of_a_run_share_its_journal(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5", refresh_interval=0.01)
    manager.set("x", [])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: manager.append_to("x", number), range(400)))
    writer.close()
    with open(tmp_path / "r.h5") as run:
        assert sorted(run["x"]) == list(range(400))


def copied_away_and_put_back(folder: Path) -> None:
    """Put an older copy in the place of everything in a folder."""
    shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copy)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
@pytest.mark.parametrize("two_copies", [False, True])
@pytest.mark.parametrize("at", range(6))
def test_a_folder_that_is_copied_away_and_put_back_costs_nothing(
    tmp_path: Path,
    at: int,
    two_copies: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if two_copies:
        monkeypatch.setattr("rexec.results.copies.TWO_COPIES_FROM", 1)
    path = tmp_path / "results" / "r.h5"
    writer, manager = begun(path)
    manager.set("x", [])
    manager.set("image", [[1, 2], [3, 4]])
    for step in range(6):
        manager.append_to("x", float(step))
        if step == at:
            copied_away_and_put_back(path.parent)
            manager.append_to("x", -1.0)
        if step % 2 == 0:
            writer.snapshot()
            assert verify(path) == []
            with open(path) as run:
                assert run["x"] == manager.get("x")
    expected = manager.get("x")
    writer.close()
    assert "was removed or replaced while the run went on; it is written anew" in caplog.text
    assert os.listdir(path.parent) == ["r.h5"]
    with open(path) as run:
        assert run["x"] == expected
    assert verify(path) == []


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
def test_a_sync_means_that_the_file_of_that_name_has_everything(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results" / "j", sync_interval=0)
    for number in range(4):
        journal.append("x", number)
        copied_away_and_put_back(tmp_path / "results")
        journal.append("x", number)
        journal.sync()
        with JournalReader(journal.path) as reader:
            assert len(list(reader.records())) == 2 * number + 2
            assert reader.damage is None
    journal.close()


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
@pytest.mark.parametrize("other", ["another run", "anything"])
def test_a_journal_in_whose_place_is_somebody_elses_file_is_kept_beside_it(
    tmp_path: Path, other: str
) -> None:
    path = tmp_path / "r.h5"
    writer, manager = begun(path)
    manager.set("x", 1)
    journal_path(path).rename(tmp_path / "moved")
    path.unlink()
    if other == "another run":
        second, _ = begun(path)
        second.set("mine", 1, {})
    else:
        journal_path(path).write_text("my notes")
    with pytest.raises(
        ResultsError,
        match=r"that is not of this run; what the run had kept by then is in .*r-[0-9a-f]{8}\.h5\.journal",
    ):
        writer.close()
    if other == "another run":
        second.close()
    else:
        assert journal_path(path).read_text() == "my notes"
    (left,) = tmp_path.glob("r-*.journal")
    recovery = recover(left)
    assert recovery.outcome == "recovered"
    assert recovery.path is not None
    with open(recovery.path) as run:
        assert dict(run) == {"x": 1}


def test_a_journal_that_is_cut_by_another_program_is_never_called_kept(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", list(range(1000)))
    os.truncate(journal_path(tmp_path / "r.h5"), 200)
    with pytest.raises(
        ResultsError, match=r"was cut by another program.*What can still be read is in"
    ) as caught:
        writer.close()
    assert "Everything is kept" not in str(caught.value)


def interrupted_at(place: int, act: Any) -> bool:
    """Call a function, and raise KeyboardInterrupt at one of the places of the journal where a signal may arrive.

    Those are, in CPython, the beginnings of functions, and the instructions that follow a call.
    """
    left, before = [place], [""]

    def trace(frame: Any, event: str, _: Any) -> Any:
        if "rexec/results/journal/writer" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        trace_opcodes(frame, trace)
        if event == "opcode":
            last, before[0] = before[0], dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before[0] == "RESUME" or last in {"CALL", "CALL_KW", "CALL_FUNCTION_EX"}:
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(tracing)
    return False


@pytest.mark.parametrize("value", [2.5, "text", [1, None]])
def test_an_interrupt_at_any_place_leaves_a_whole_journal(tmp_path: Path, value: Any) -> None:
    """An append that raised is in the journal or not, but nothing of what follows is ever lost."""
    step, interrupts = 0, 0
    while True:
        step += 1
        journal = Journal(tmp_path / f"{step}", sync_interval=0)
        journal.append("first", 1.0)
        if not interrupted_at(step, lambda: journal.append("second", value)):  # noqa: B023
            break
        interrupts += 1
        kept = journal.size
        journal.append("third", 3.0)
        journal.append("second", "again")
        journal.close()
        with JournalReader(journal.path) as reader:
            found = [(record.key, record.value) for record in reader.records()]
            assert reader.damage is None
        interrupted = [("second", value)] if len(found) == 4 else []
        assert found == [("first", 1.0), *interrupted, ("third", 3.0), ("second", "again")]
        with JournalReader(journal.path) as reader:
            # What `size` said after the interrupt is what tells whether the change was kept.
            assert len(list(reader.records(kept))) == 1 + len(interrupted)
    assert interrupts > 5


def test_a_fault_of_ours_in_one_journal_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer, manager = begun(tmp_path / "r.h5")
    manager.set("x", 1)
    journal = shutil.copy(journal_path(tmp_path / "r.h5"), tmp_path / "copy.h5.journal")
    writer.close()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr("rexec.results.fold.RunState.apply", broken)
        recovery = recover(Path(journal))
    assert recovery.outcome == "failed"
    assert recovery.detail == "ZeroDivisionError: a fault of ours"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert recover(Path(journal)).outcome == "recovered"


@needs_fork
@pytest.mark.parametrize("lock", ["lock", "_sync_lock"])
def test_the_locks_of_the_journal_are_free_in_a_fork(tmp_path: Path, lock: str) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    refused: list[str] = []

    def change() -> None:
        for action in (journal.sync, lambda: journal.append("x", 1)):
            try:
                action()
            except ResultsError as error:
                refused.append(str(error))

    with getattr(journal, lock):  # as a thread of the parent may hold it when another one forks: for ever
        journal.disown()
        thread = threading.Thread(target=change, daemon=True)
        thread.start()
        thread.join(150)
        assert not thread.is_alive()
    assert refused

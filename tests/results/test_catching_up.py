"""Between two refreshes the older of two copies gets the rows that it lacks: the end of a run has few to write."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, copies, item, journal_path, keeper, verify
from rexec.results.hdf5 import datasets, growing
from rexec.results.hdf5.file import FoldedFile
from rexec.results.journal.reader import JournalReader
from rexec.results.keeper import Keeper
from rexec.results.refresher import PROCESSES
from schemas import RunIdentity
from tests.waiting import within

FRAME = np.arange(300 * 250.0).reshape(300, 250)
END = {"status": "completed", "error": None, "time": 2.0}
pytestmark = pytest.mark.skipif(
    not copies._CAN_TELL_UNUSED, reason="needs leases on files, which are Linux's"
)


class Run:
    """A run of which this test keeps the file, a copy of it at a time."""

    def __init__(self, folder: Path) -> None:
        identity = RunIdentity(rid=1, class_name="Test", start_time=1.0)
        self.writer = ResultsWriter.create(folder / "r.h5", identity, refresh_interval=0)
        self.manager = DatasetManager(DatasetDB(), sink=self.writer)
        self.manager.set("x", [])
        self.manager.set("many", [0.0] * 5000)
        self.keeper = Keeper(JournalReader(journal_path(self.writer.path)), folder / "other.h5")

    def refresh(self, count: int = 10) -> None:
        for number in range(count):
            self.manager.append_to("x", FRAME + number)
            self.manager.append_to("many", number * 0.5)
        self.keeper.bring_up_to(self.writer.journal_size)

    def finish(self) -> Path:
        self.keeper.finish(self.writer.journal_size, END)
        with h5py.File(self.keeper.path) as file:
            assert len(file["datasets/x"]) == len(self.manager.get("x"))
            assert file["datasets/many"][:].tolist() == self.manager.get("many")
        assert verify(self.keeper.path) == []
        return self.keeper.path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 1)
    monkeypatch.setattr(copies, "_clone", lambda *_: False)
    monkeypatch.setattr(keeper, "BEHIND_FROM", 1)
    monkeypatch.setattr(item, "RELEASE_FROM", 2**9)
    run = Run(tmp_path)
    yield run
    run.keeper.close()
    run.writer.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows of lists were written, at each time."""
    counts: list[int] = []
    real = growing.append_rows

    def counted(dataset: h5py.Dataset, old: Any, rows: list[Any], pace: Any) -> bool:
        counts.append(len(rows))
        return real(dataset, old, rows, pace)

    monkeypatch.setattr(datasets, "append_rows", counted)
    return counts


@pytest.mark.parametrize(("catches_up", "most"), [(True, 2), (False, 22)])
def test_the_end_writes_only_the_rows_since_the_last_refresh(
    run: Run, written: list[int], catches_up: bool, most: int
) -> None:
    for _ in range(4):
        run.refresh()
        if catches_up:
            run.keeper.catch_up()
    run.manager.append_to("x", FRAME)
    run.manager.append_to("many", 1.0)
    written.clear()
    run.finish()
    assert sum(written) == most


def test_rows_that_both_copies_have_are_not_in_memory(run: Run) -> None:
    for _ in range(4):
        run.refresh(20)
        run.keeper.catch_up()
    many = run.keeper.state.datasets["many"]
    assert (many.rows, len(many.value)) == (5080, 0)
    run.finish()


def test_the_file_that_is_shown_is_not_touched(run: Run) -> None:
    for _ in range(4):
        run.refresh()
        shown = run.keeper.path.read_bytes()
        run.keeper.catch_up()
        assert run.keeper.path.read_bytes() == shown
    run.finish()


def test_an_older_copy_that_somebody_holds_is_left_alone(run: Run) -> None:
    run.refresh()
    with run.keeper.path.open("rb") as held:
        content = held.read()
        run.refresh()
        run.keeper.catch_up()
        run.refresh()
        run.keeper.catch_up()
        held.seek(0)
        assert held.read() == content
    run.finish()


def test_one_copy_is_left_to_the_refresh(
    run: Run, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "TWO_COPIES_FROM", 2**40)
    run.refresh()
    run.refresh()
    written.clear()
    run.keeper.catch_up()
    assert written == []
    run.finish()


def test_a_failure_is_left_to_the_next_refresh(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        run.refresh()
    with monkeypatch.context() as during:
        during.setattr(FoldedFile, "update", _full)
        run.keeper.catch_up()
    run.finish()


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.skipif(not PROCESSES, reason="the file is kept by a thread on this system")
def test_the_process_beside_a_run_catches_up(tmp_path: Path) -> None:
    identity = RunIdentity(rid=1, class_name="Test", start_time=1.0)
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0.05, process_from=1)
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("x", [])
    working = tmp_path / ".r.h5.working"

    def is_caught_up() -> bool:
        try:
            # A lock of this reader would hinder the process.
            with h5py.File(working, "r", locking=False) as file, h5py.File(writer.path, "r") as shown:
                return len(file["datasets/x"]) == len(shown["datasets/x"]) == len(manager.get("x"))
        except Exception:  # not there, or being written: what HDF5 makes of that is any error
            return False

    def appended_and_caught_up(seconds: float) -> bool:
        manager.append_to("x", noise)
        return within(seconds, is_caught_up)

    noise = np.frombuffer(np.random.default_rng(1).bytes(2**21), np.uint16)
    for _ in range(6):
        manager.append_to("x", noise)
    # It catches up while it has no other order. What it missed, it has after the next one, however slow the disk is.
    assert any(map(appended_and_caught_up, (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)))
    writer.close()
    assert verify(writer.path) == []

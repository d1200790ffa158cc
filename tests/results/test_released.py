"""Rows of long lists that the files have are not in memory, however many there are; what needs them folds again."""

import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec import results
from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsWriter, copies, item, journal_path, keeper, recover, verify
from rexec.results.hdf5.file import FoldedFile
from rexec.results.journal.reader import JournalReader
from rexec.results.keeper import Keeper
from schemas import RunIdentity

MOST_ROWS = 600
"""Rows that may be in memory with the limits below: those of 4 kB of the journal, and those that are not worth it."""


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SPILL_EVERY", 2**12)
    monkeypatch.setattr(item, "RELEASE_FROM", 2**12)


@pytest.fixture
def run(tmp_path: Path) -> tuple[ResultsWriter, DatasetManager]:
    identity = RunIdentity(rid=1, class_name="Test", start_time=1.0)
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    return writer, DatasetManager(DatasetDB(), sink=writer)


def append(manager: DatasetManager, values: Any, key: str = "x") -> None:
    for value in values:
        manager.append_to(key, value)


def killed(writer: ResultsWriter) -> Path:
    """Return a copy of a run's journal, as a kill would leave it."""
    writer.sync()
    folder = writer.path.parent / "killed"
    folder.mkdir()
    return Path(shutil.copy(journal_path(writer.path), folder))


def in_file(path: Path, key: str = "x") -> Any:
    assert verify(path) == []
    with results.open(path) as kept:
        return kept[key]


def recovered(writer: ResultsWriter) -> Path:
    found = recover(killed(writer))
    assert (found.outcome, found.path) == ("recovered", found.path), str(found)
    assert found.path is not None
    assert os.listdir(found.path.parent) == ["r.h5"]
    return found.path


@pytest.mark.parametrize("count", [2000, 8000])
def test_a_recovery_holds_only_the_rows_that_its_file_lacks(run: Any, count: int) -> None:
    writer, manager = run
    manager.set("x", [])
    append(manager, (number * 0.5 for number in range(count)))
    kept = Keeper(JournalReader(killed(writer)), writer.path.with_name("other.h5"))
    kept.read()
    x = kept.state.datasets["x"]
    assert x.rows == count
    assert len(x.value) <= MOST_ROWS
    assert not kept.path.exists()  # whole, or not at all
    kept.finish(None, {"status": "recovered"})
    kept.close()
    assert in_file(kept.path) == [number * 0.5 for number in range(count)]


def test_a_recovery_writes_the_default_plot_once_its_datasets_are_there(run: Any) -> None:
    writer, manager = run
    manager.set("y", [1.0, 2.0])
    writer.declare_plot("y", ())
    manager.set("x", [])
    append(manager, (number * 0.5 for number in range(2000)))
    with h5py.File(recovered(writer)) as file:
        assert file["rexec/plot"].attrs["signal"] == "y"


@pytest.mark.skipif(
    not copies._CAN_TELL_UNUSED, reason="there is one copy where nobody tells who has a file open"
)
def test_a_refresh_releases_what_both_copies_of_the_file_have(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.results.copies.TWO_COPIES_FROM", 1)
    writer, manager = run
    manager.set("x", [])
    for begin in range(0, 5000, 1000):
        append(manager, range(begin, begin + 1000))
        writer.snapshot()
    x = writer._refresher._keeper.state.datasets["x"]
    assert (x.rows, len(x.value)) == (5000, 1000)
    writer.close()
    assert in_file(writer.path) == list(range(5000))


@pytest.mark.parametrize("last", [4000.0, "text"])
def test_where_the_file_is_gone_rows_are_held_only_if_they_are_of_two_kinds(run: Any, last: Any) -> None:
    writer, manager = run
    manager.set("x", [])
    expected = [*(number * 0.5 for number in range(8000)), last]
    append(manager, expected)
    kept = Keeper(JournalReader(killed(writer)), writer.path.with_name("other.h5"))
    kept.read()
    kept.path.with_name(f".{kept.path.name}.working").unlink()
    kept.bring_up_to(kept.state.size)
    x = kept.state.datasets["x"]
    assert (x.rows, kept.releases) == (8001, last != "text")
    assert (len(x.value) <= MOST_ROWS) == kept.releases
    kept.close()
    assert in_file(kept.path) == expected


def changed_in_place(manager: DatasetManager) -> None:
    manager.mutate("x", 3, -1)


def of_another_type(manager: DatasetManager) -> None:
    manager.append_to("x", 0.5)


def of_another_class(manager: DatasetManager) -> None:
    manager.append_to("x", "text")


def set_anew(manager: DatasetManager) -> None:
    manager.set("x", [1, 2])


def under_another_name(manager: DatasetManager) -> None:
    manager.set("x/y", 1)


@pytest.mark.parametrize(
    "change", [changed_in_place, of_another_type, of_another_class, set_anew, under_another_name]
)
@pytest.mark.parametrize("when", ["in a recovery", "in a refresh"])
def test_what_needs_released_rows_has_them(run: Any, change: Any, when: str) -> None:
    writer, manager = run
    manager.set("x", [])
    append(manager, range(2000))
    if when == "in a refresh":
        writer.snapshot()
        assert writer._refresher._keeper.state.has_released
    change(manager)
    append(manager, range(2000))
    expected = list(manager.get("x"))
    if when == "in a refresh":
        writer.snapshot()
        assert in_file(writer.path) == expected
    assert in_file(recovered(writer)) == expected
    writer.close()
    assert in_file(writer.path) == expected


def test_a_file_that_was_taken_away_is_written_again(run: Any) -> None:
    writer, manager = run
    manager.set("x", [])
    append(manager, range(2000))
    writer.snapshot()
    for path in writer.path.parent.glob("*r.h5*"):
        if not path.name.endswith(".journal"):
            path.unlink()
    manager.append_to("x", 1)
    writer.snapshot()
    kept = writer._refresher._keeper
    assert kept.state.has_released  # the new file has them
    assert in_file(writer.path) == [*range(2000), 1]
    writer.close()
    assert in_file(writer.path) == [*range(2000), 1]


def test_a_file_without_its_holes_is_a_copy(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, manager = run
    manager.set("x", [])
    append(manager, range(2000))
    for key, size in ("image", 400_000), ("other", 50_000), ("image", 50_000):
        manager.set(key, os.urandom(size))
        writer.snapshot()
    before = writer.path.stat().st_size
    done: list[FoldedFile] = []
    compact = FoldedFile._compact

    def counted(self: FoldedFile) -> None:
        done.append(self)
        compact(self)

    monkeypatch.setattr(FoldedFile, "_compact", counted)
    writer.close()
    assert done
    assert writer.path.stat().st_size < before - 300_000
    assert in_file(writer.path) == list(range(2000))
    assert in_file(writer.path, "image") == manager.get("image")
    assert os.listdir(writer.path.parent) == ["r.h5"]


def test_a_column_of_a_recording_becomes_floats_after_its_rows_were_released(tmp_path: Path) -> None:
    identity = RunIdentity(rid=1, class_name="Test", start_time=1.0, recording={"mode": "record"})
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    for number in range(2000):
        writer.set("x", number, {})
    for number in range(1000):
        writer.set("x", number + 0.5, {})
    found = recovered(writer)
    assert in_file(found, "x/value") == [*map(float, range(2000)), *(n + 0.5 for n in range(1000))]
    writer.close()


def test_a_recovery_that_finds_the_disk_full_leaves_the_journal_alone(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, manager = run
    manager.set("x", [])
    append(manager, range(4000))
    journal = killed(writer)
    calls: list[None] = []

    def full(*_: object) -> None:
        calls.append(None)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rexec.results.hdf5.file.reserve", full)
        found = recover(journal)
    assert found.outcome == "failed"
    assert "No space left" in found.detail
    assert os.listdir(journal.parent) == [journal.name]
    assert recover(journal).outcome == "recovered"
    assert in_file(journal.with_name("r.h5")) == list(range(4000))

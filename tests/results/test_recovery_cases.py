"""A recovery by cases: which journals go, which stay, and where the file is written if another one is in its place."""

import contextlib
import math
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec.results import (
    ResultsWriter,
    journal_path,
    keeper,
    recover,
    recover_damaged,
    recover_folder,
    recover_some,
    verify,
)
from rexec.results.journal._file import Orphan
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, MAGIC, Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.recovery import Recovery, _recover, orphans
from schemas import RunIdentity
from tests.campaigns.journals import Maker
from tests.results.test_recovery import killed


def test_every_outcome_is_one_line(tmp_path: Path) -> None:
    journal, path = Path("r.h5.journal"), Path("r.h5")
    said = {
        str(Recovery(journal, "recovered", path, 3)): "recovered r.h5 (3 records)",
        str(Recovery(journal, "damaged", path, 3, "odd")): (
            "recovered r.h5 as far as its journal can be read (3 records): odd"
        ),
        str(
            Recovery(journal, "salvaged", path)
        ): "wrote r.h5 of what can be read of r.h5.journal (0 records)",
        str(
            Recovery(journal, "empty")
        ): "removed r.h5.journal: the run was killed before it had kept anything",
        str(Recovery(journal, "running")): "left r.h5.journal alone: its run goes on",
        str(Recovery(journal, "failed", detail="odd")): "could not recover r.h5.journal: odd",
    }
    assert list(said) == list(said.values())
    assert len({Recovery(journal, "running"), Recovery(journal, "running")}) == 1  # a fact


def begun(path: Path) -> Path:
    """Leave the journal of a run that was killed before it said who it is; return it."""
    Journal(journal_path(path), sync_interval=0).close()
    return journal_path(path)


def test_a_journal_without_a_record_goes_and_makes_no_file(tmp_path: Path) -> None:
    recovery = recover(begun(tmp_path / "r.h5"))
    assert (recovery.outcome, recovery.path) == ("empty", None)
    assert os.listdir(tmp_path) == []


def test_a_journal_of_who_the_run_was_makes_a_file(tmp_path: Path) -> None:
    recovery = recover(killed(tmp_path / "r.h5"))
    assert (recovery.outcome, recovery.path, recovery.detail) == ("recovered", tmp_path / "r.h5", "")
    assert verify(tmp_path / "r.h5") == []


def test_a_record_that_was_cut_off_is_told_with_its_bytes(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    data = journal.read_bytes()
    journal.write_bytes(data[:-1])
    with JournalReader(journal) as reader:
        assert len(list(reader.records())) == 1
        whole = reader.offset
    recovery = recover(journal)
    assert (recovery.outcome, recovery.detail) == (
        "recovered",
        f"the last record was cut off, {len(data) - 1 - whole} bytes of it",
    )


def zeros(size: int) -> bytes:
    return bytes(size)


def beginning(size: int) -> bytes:
    return (MAGIC + bytes(HEADER.size))[:size]


@pytest.mark.parametrize(
    "data", [zeros(0), zeros(7), zeros(HEADER.size), beginning(3), beginning(HEADER.size - 1)]
)
def test_a_journal_without_a_whole_header_goes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.h5.journal").write_bytes(data)
    assert recover(tmp_path / "r.h5.journal").outcome == "empty"
    assert os.listdir(tmp_path) == []


def of_another_version() -> bytes:
    data = bytearray(HEADER.pack(MAGIC, 99, 0, bytes(16), 0))
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [zeros(HEADER.size + 1), b"text", MAGIC[:4] + b"text", b"text" * 8, of_another_version()],
    ids=["zeros", "text", "other magic", "more text", "version 99"],
)
def test_what_is_no_beginning_of_a_journal_is_never_removed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.h5.journal").write_bytes(data)
    assert recover(tmp_path / "r.h5.journal").outcome == "failed"
    assert (tmp_path / "r.h5.journal").read_bytes() == data


def anothers(path: Path) -> None:
    ResultsWriter.create(path, RunIdentity(rid=9, class_name="B", start_time=1.0), refresh_interval=0).close()


def plain_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("rexec")


def garbage(path: Path) -> None:
    path.write_text("my notes")


@pytest.mark.parametrize("other", [anothers, plain_hdf5, other_hdf5, garbage])
def test_no_file_that_is_not_of_this_run_is_replaced(tmp_path: Path, other: Callable[[Path], None]) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    (tmp_path / "r.h5").unlink()
    for name in ("r.h5", "r.recovered.h5"):
        other(tmp_path / "made")
        (tmp_path / "made").rename(tmp_path / name)
    before = [(tmp_path / name).read_bytes() for name in ("r.h5", "r.recovered.h5")]
    for name in ("r.h5", "r.recovered.h5", "r.recovered.recovered.h5"):
        (tmp_path / f".{name}.working").touch()
    assert recover(journal).path == tmp_path / "r.recovered.recovered.h5"
    assert [(tmp_path / name).read_bytes() for name in ("r.h5", "r.recovered.h5")] == before
    assert verify(tmp_path / "r.recovered.recovered.h5") == []
    assert not (tmp_path / ".r.h5.working").exists()
    assert not (tmp_path / ".r.recovered.recovered.h5.working").exists()


def test_a_value_that_was_read_only_is_worth_a_file_beside_anothers(tmp_path: Path) -> None:
    writer = ResultsWriter.create(
        tmp_path / "alive.h5", RunIdentity(rid=5, class_name="A", start_time=1.0), refresh_interval=0
    )
    writer.archive("x", 1, {})
    anothers(tmp_path / "r.h5")
    journal = Path(shutil.copy(journal_path(writer.path), tmp_path / "r.h5.journal"))
    writer.discard()
    recovery = recover(journal)
    assert (recovery.outcome, recovery.path) == ("recovered", tmp_path / "r.recovered.h5")


@pytest.mark.parametrize("beside", [True, False])
def test_a_damaged_journal_without_data_makes_a_file_where_no_other_is(tmp_path: Path, beside: bool) -> None:
    journal = begun(tmp_path / "r.h5")
    journal.write_bytes(journal.read_bytes() + b"\xff" * 40)
    if beside:
        anothers(tmp_path / "r.h5.other")
        (tmp_path / "r.h5.other").rename(tmp_path / "r.h5")
    recovery = recover(journal)
    assert (recovery.outcome, recovery.path) == ("damaged", None if beside else tmp_path / "r.h5")
    assert sorted(os.listdir(tmp_path)) == ["r.h5", "r.h5.journal.damaged"]
    assert "40 bytes from there on are in r.h5.journal.damaged only" in recovery.detail


def test_one_record_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    maker = Maker()
    maker.set("a", [1.0])
    maker.record(Kind.APPEND, "a", b"~")
    (tmp_path / "r.h5.journal").write_bytes(maker.journal())
    recovery = recover(tmp_path / "r.h5.journal")
    assert (recovery.outcome, recovery.detail) == (
        "damaged",
        "1 record could not be read, kept in r.h5.journal.damaged",
    )


def test_a_journal_that_has_just_gone_was_of_a_run_that_ended(tmp_path: Path) -> None:
    gone = recover(tmp_path / "r.h5.journal")
    assert (gone.outcome, gone.detail) == ("running", "its run has just ended")
    journal = killed(tmp_path / "r.h5", x=1)
    if os.name != "nt":  # where no open file can be removed
        with Orphan(journal) as orphan:
            assert orphan.is_claimed()
            journal.unlink()
            other = _recover(orphan, None)
        assert (other.outcome, other.detail) == ("running", "another process has recovered it")


def test_journals_are_files_and_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/b", "c"):
        (tmp_path / f"{name}.h5.journal").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.h5.journal").touch()
    (tmp_path / "folder.h5.journal").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in orphans(tmp_path)]
    assert found == ["a/b.h5.journal", "a/z.h5.journal", "b.h5.journal", "c.h5.journal"]
    assert [each.outcome for each in recover_folder(tmp_path)] == ["empty"] * 4


def damaged_in_the_middle(folder: Path, *, data: bool) -> Path:
    """Leave a damaged journal as `recover` renames it: an identity, a gap, and perhaps data behind it."""
    with contextlib.closing(Journal(folder / "made", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        at = journal.size
        journal.put(Record(Kind.NOTE, "lost", value="x" * 100))
        after = journal.size
        if data:
            journal.put(Record(Kind.SET, "x", value=1, metadata={}, archive=True))
    content = bytearray((folder / "made").read_bytes())
    content[at:after] = b"\xff" * (after - at)
    (folder / "made").unlink()
    path = folder / "r.h5.journal.damaged"
    path.write_bytes(content)
    return path


def test_of_a_damaged_journal_who_the_run_was_is_worth_a_file_of_its_own(tmp_path: Path) -> None:
    kept = damaged_in_the_middle(tmp_path, data=False)
    for what in ("working", "1.tmp"):  # of a salvage that was killed
        (tmp_path / f".r.damaged.h5.{what}").touch()
    (salvaged,) = recover_damaged(tmp_path)
    assert (salvaged.outcome, salvaged.path) == ("salvaged", tmp_path / "r.damaged.h5")
    assert sorted(os.listdir(tmp_path)) == ["r.damaged.h5", kept.name]
    anothers(tmp_path / "other.h5")
    (tmp_path / "other.h5").replace(tmp_path / "r.damaged.h5")
    before = (tmp_path / "r.damaged.h5").read_bytes()
    (salvaged,) = recover_damaged(tmp_path)
    assert (salvaged.outcome, salvaged.detail) == ("failed", "nothing in it can be read")
    damaged_in_the_middle(tmp_path, data=True)
    (salvaged,) = recover_damaged(tmp_path)
    assert (salvaged.outcome, salvaged.path) == ("salvaged", tmp_path / "r.damaged.recovered.h5")
    assert (tmp_path / "r.damaged.h5").read_bytes() == before
    assert verify(tmp_path / "r.damaged.recovered.h5") == []


def test_three_problems_of_a_damaged_journal_are_told(tmp_path: Path) -> None:
    maker = Maker()
    maker.set("a", [1.0])
    for _ in range(5):
        maker.record(Kind.APPEND, "a", b"~")
    (tmp_path / "r.h5.journal.damaged").write_bytes(maker.journal())
    (salvaged,) = recover_damaged(tmp_path)
    assert salvaged.outcome == "salvaged"
    assert salvaged.detail.count("a: record ") == 3


def test_a_damaged_journal_that_is_none_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.h5.journal.damaged").write_bytes(b"")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.h5.journal.damaged")
    damaged_in_the_middle(tmp_path, data=True)
    outcomes = [each.outcome for each in recover_damaged(tmp_path)]
    assert outcomes == ["failed", "salvaged"]


@pytest.mark.parametrize(("count", "told"), [(3, 3), (4, 4), (6, 4)])
def test_three_journals_that_cannot_be_recovered_are_named_and_the_others_counted(
    tmp_path: Path, count: int, told: int
) -> None:
    for number in range(count):
        (tmp_path / f"{number}.h5.journal").write_bytes(b"text" * 8)
    lines = list(recover_some(tmp_path, tmp_path / "new.h5", seconds=math.inf))
    assert len(lines) == told
    assert lines[3:] == [
        f"could not recover {number} more journals: `rexec results recover {tmp_path}` says why"
        for number in ([count - 3] if count > 3 else [])
    ]


@pytest.mark.parametrize(
    ("which", "fault"),
    [
        *((which, fault) for which in (recover, recover_damaged) for fault in (OSError("no room"), None)),
        (recover, RuntimeError("odd")),
    ],
)
def test_a_recovery_leaves_no_file_open_and_says_what_is_a_fault_of_ours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    which: Any,
    fault: Exception | None,
) -> None:
    (journal, other) = (killed(tmp_path / "r.h5", x=1), tmp_path / "b.h5.journal.damaged")
    shutil.copy(journal, other)
    readers: list[JournalReader] = []
    real = keeper.Keeper.read

    def read(self: keeper.Keeper, size: int | None = None) -> None:
        readers.append(self.reader)
        if fault is not None:
            raise fault
        real(self, size)

    monkeypatch.setattr(keeper.Keeper, "read", read)
    if which is recover:
        for _ in range(2 if fault else 1):  # its claim is given up
            found = recover(journal)
    else:
        (found,) = recover_damaged(tmp_path)
    assert [each.descriptor for each in readers] == [-1] * len(readers)
    if fault is None:
        assert found.outcome == ("recovered" if which is recover else "salvaged")
        assert caplog.records == []
        return
    is_ours = isinstance(fault, RuntimeError)
    assert (found.outcome, found.detail) == ("failed", "RuntimeError: odd" if is_ours else "no room")
    told = [f"a fault of this program: please report it, with {journal}"] * 2 if is_ours else []
    assert [each.getMessage() for each in caplog.records] == told
    assert journal.exists()

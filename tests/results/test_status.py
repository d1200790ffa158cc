"""What a file, its journal and its process say together, in one line and as facts."""

import contextlib
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from rexec.results import journal_path, status, status_of
from rexec.results.journal.records import HEADER, Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.status import Status
from tests.results.test_ownership import begun
from tests.results.test_recovery import killed

PATH = Path("/data/r.h5")
RECOVER = "`rexec results recover /data`"


@pytest.mark.skipif(os.name == "nt", reason="paths look different there")
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Status(PATH, "running", 7, waiting=1), "running: process 7, 1 record not in the file yet"),
        (Status(PATH, "running", 7, "pc3"), "running: process 7 on pc3, 0 records not in the file yet"),
        (
            Status(PATH, "running", waiting=2, size=1 << 20),
            "running: a process, 2 records not in the file yet",
        ),
        (
            Status(PATH, "running", waiting=2, size=(1 << 20) + 1),
            "running: a process, over 2 records (1.0 MB) not in the file yet",
        ),
        (
            Status(PATH, "killed", waiting=1),
            f"killed: 1 record of its journal are not in the file; {RECOVER}",
        ),
        (
            Status(PATH, "killed", waiting=None, detail="odd"),
            f"killed: an unknown number of records of its journal are not in the file; {RECOVER} (odd)",
        ),
        (Status(PATH, "killed"), f"killed: the file holds all of its journal; {RECOVER} says so in the file"),
        (Status(PATH, "finished"), "finished"),
        (Status(PATH, "finished", detail="odd"), "finished (odd)"),
    ],
)
def test_a_status_is_one_line(found: Status, said: str) -> None:
    assert str(found) == said
    assert found in {found}  # a fact


def left_by(folder: Path, *records: Record) -> Status:
    """Return the status of what a run leaves that was killed after these records."""
    journal = Journal(journal_path(folder / "r.h5"), sync_interval=0)
    for record in records:
        journal.put(record)
    journal.close()
    return status_of(folder / "r.h5")


@pytest.mark.parametrize(
    ("said", "pid", "host"),
    [
        ({"pid": 812, "host": "pc3"}, 812, "pc3"),
        ({"pid": 812, "host": platform.node()}, 812, None),
        ({"pid": "812", "host": 3}, None, None),
        ({}, None, None),
    ],
)
def test_process_and_machine_are_those_of_the_identity(
    tmp_path: Path, said: dict[str, Any], pid: int | None, host: str | None
) -> None:
    found = left_by(tmp_path, Record(Kind.NOTE, "first", value=1), Record(Kind.IDENTITY, value=said))
    assert (found.state, found.pid, found.host, found.waiting) == ("killed", pid, host, 2)
    assert found.size == journal_path(tmp_path / "r.h5").stat().st_size - HEADER.size


def test_without_an_identity_no_process_is_known(tmp_path: Path) -> None:
    found = left_by(tmp_path, *(Record(Kind.NOTE, str(number), value=1) for number in range(6)))
    assert (found.pid, found.host, found.waiting) == (None, None, 6)


def test_of_a_file_that_holds_all_of_its_journal_nothing_is_waiting(tmp_path: Path) -> None:
    writer, manager = begun(tmp_path / "alive.h5")
    manager.set("x", [1.0])
    writer.snapshot()
    path = tmp_path / "r.h5"
    journal = journal_path(path)
    path.write_bytes(writer.path.read_bytes())
    data = journal_path(writer.path).read_bytes()
    journal.write_bytes(data)
    found = status_of(path)
    assert (found.state, found.waiting, found.size) == ("killed", 0, 0)
    journal.write_bytes(data[:-10])  # and more than its journal, which a cut has shortened
    found = status_of(path)
    assert (found.state, found.waiting, found.size) == ("killed", 0, 0)
    assert status_of(writer.path).state == "running"
    writer.discard()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_journal_that_was_left_beside_its_finished_file_is_told(tmp_path: Path, is_damaged: bool) -> None:
    path = tmp_path / "r.h5"
    writer, manager = begun(path)
    manager.set("x", [1.0])
    data = journal_path(path).read_bytes()
    writer.close()
    journal_path(path).write_bytes(data)
    told = [
        "its journal was left beside it, and holds nothing more: "
        f"`rexec results recover {tmp_path}` removes it"
    ]
    if is_damaged:
        path.with_name("r.h5.journal.damaged").touch()
        told.insert(0, f"its journal is damaged: `rexec results recover --damaged {tmp_path}`")
    assert status_of(path) == Status(path, "finished", detail="; ".join(told))


def test_a_damaged_journal_beside_a_file_is_told_in_every_state(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    journal.with_name(journal.name + ".damaged").touch()
    damaged = f"its journal is damaged: `rexec results recover --damaged {tmp_path}`"
    assert status_of(tmp_path / "r.h5").detail == damaged
    journal.unlink()
    assert status_of(tmp_path / "r.h5") == Status(tmp_path / "r.h5", "finished", detail=damaged)


def test_a_journal_that_cannot_be_read_runs_as_long_as_somebody_keeps_it(tmp_path: Path) -> None:
    with contextlib.closing(Journal(journal_path(tmp_path / "r.h5"), sync_interval=0)) as journal:
        with journal.path.open("r+b") as file:
            file.write(b"garbage!")
        found = status_of(tmp_path / "r.h5")
        assert (found.state, found.waiting) == ("running", None)
    found = status_of(tmp_path / "r.h5")
    assert (found.state, found.waiting) == ("killed", None)
    assert "is no journal of a run" in found.detail


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_what_is_no_file_in_the_place_of_the_file_hinders_nothing(tmp_path: Path) -> None:
    killed(tmp_path / "r.h5", x=1)
    (tmp_path / "r.h5").unlink()
    os.mkfifo(tmp_path / "r.h5")
    found = status_of(tmp_path / "r.h5")
    assert (found.state, found.waiting) == ("killed", 2)


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")
@pytest.mark.parametrize("has_file", [True, False])
def test_a_run_that_ends_during_the_look_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_file: bool
) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    if not has_file:
        (tmp_path / "r.h5").unlink()
    journal.with_name(journal.name + ".damaged").touch()  # of an earlier run of that name
    folded = status.folded

    def ended(path: Path, identifier: bytes) -> tuple[int, bool]:
        journal.unlink()
        return folded(path, identifier)

    monkeypatch.setattr(status, "folded", ended)
    found = status_of(tmp_path / "r.h5")
    assert (found.state, found.waiting, "journal is damaged" in found.detail) == ("finished", 0, True)


def write_another_runs(path: Path) -> None:
    writer, manager = begun(path.with_name("other.h5"))
    manager.set("x", 1)
    writer.close().rename(path)


@pytest.mark.parametrize(
    "put", [lambda _: None, Path.mkdir, lambda path: path.write_bytes(b"no HDF5"), write_another_runs]
)
def test_a_journal_without_a_file_of_it_is_of_a_run_that_was_killed(tmp_path: Path, put: Any) -> None:
    put(tmp_path / "r.h5")
    assert left_by(tmp_path).state == "killed"

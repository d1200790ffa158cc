"""What is left of a journal that the disk has damaged, and what a file without its journal's changes is called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from rexec.cli.results import main
from rexec.results import ResultsWriter, journal_path, open, recover, recover_damaged, status_of, verify
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper
from schemas import RunIdentity
from tests.results.test_ownership import begun


def journal_of(path: Path) -> Path:
    """Leave the journal of a killed run of eight changes; return its path."""
    writer, manager = begun(path.parent / "alive" / path.name)
    manager.set("a", [1.0])
    manager.set("b", {"odd": None})
    for number in range(5):
        manager.append_to("a", float(number))
    manager.set("c", "last")
    path.parent.mkdir(exist_ok=True)
    shutil.copy(journal_path(writer.path), journal_path(path))
    writer.discard()
    return journal_path(path)


def places(journal: Path) -> list[int]:
    """Return where each record begins, and where the last one ends."""
    with JournalReader(journal) as reader:
        return [HEADER.size, *(reader.offset for _ in reader.records())]


def test_a_damaged_journal_of_which_nothing_can_be_read_is_left_with_the_reason(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    data = journal.read_bytes()
    journal.write_bytes(data[: HEADER.size] + b"\xff" * (len(data) - HEADER.size))
    assert recover(journal).outcome == "damaged"
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    (salvaged,) = recover_damaged(tmp_path)
    assert (salvaged.outcome, salvaged.detail) == ("failed", "nothing in it can be read")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == kept


def test_what_is_behind_a_damaged_place_is_read_on_demand(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    data = journal.read_bytes()
    ends = places(journal)
    # Each byte of the record that appends the first 0.0; the others must be there whatever was hit.
    for position in range(ends[3], ends[4]):
        changed = bytearray(data)
        changed[position] ^= 0x41
        journal.write_bytes(changed)
        recovery = recover(journal)
        assert recovery.outcome == "damaged", position
        with open(tmp_path / "r.h5") as run:
            assert list(run) == ["a", "b"]
        for _ in range(2):
            (salvaged,) = recover_damaged(tmp_path)
            assert (salvaged.outcome, salvaged.path) == ("salvaged", tmp_path / "r.damaged.h5"), position
            with open(tmp_path / "r.damaged.h5") as run:
                assert dict(run) == {"a": [1.0, 1.0, 2.0, 3.0, 4.0], "b": {"odd": None}, "c": "last"}
                (problem,) = run.problems
                assert problem.startswith(
                    f"{ends[4] - ends[3]} bytes of the journal cannot be read: the record at byte"
                )
            assert verify(tmp_path / "r.damaged.h5") == []
        assert sorted(os.listdir(tmp_path)) == ["alive", "r.damaged.h5", "r.h5", "r.h5.journal.damaged"]
        for each in tmp_path.glob("r.*"):
            each.unlink()


def test_a_damaged_header_costs_the_header(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    data = bytearray(journal.read_bytes())
    data[30] ^= 1
    journal.write_bytes(data)
    assert recover(journal).outcome == "damaged"
    (salvaged,) = recover_damaged(tmp_path)
    assert salvaged.path is not None
    with open(salvaged.path) as run:
        assert run["c"] == "last"


def test_a_lost_name_is_said_and_its_values_are_kept(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    data = bytearray(journal.read_bytes())
    # The names of the datasets are written before their first changes.
    position = data.index(b"\x02\x02\x00\x00\x00b")
    data[position + 5] ^= 1
    journal.write_bytes(data)
    assert recover(journal).outcome == "damaged"
    (salvaged,) = recover_damaged(tmp_path)
    assert salvaged.path is not None
    with open(salvaged.path) as run:
        assert run["lost name 2"] == {"odd": None}
        assert run["a"] == [1.0, 0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_command_reads_damaged_journals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = journal_of(tmp_path / "r.h5")
    data = bytearray(journal.read_bytes())
    data[places(journal)[2] + 20] ^= 1
    journal.write_bytes(data)
    assert main(["recover", str(tmp_path)]) == 1
    assert main(["recover", "--damaged", str(tmp_path)]) == 1
    assert "r.damaged.h5 of what can be read of" in capsys.readouterr().out


def test_the_status_of_a_file_looks_at_its_journal_and_its_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.h5"
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom tests.results.test_ownership import begun\n"
        "writer, manager = begun(Path(sys.argv[1]))\nmanager.set('x', [1.0])\nwriter.snapshot()\n"
        "manager.append_to('x', 2.0)\nmanager.append_to('x', 3.0)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, path], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        now = status_of(path)
        assert (now.state, now.pid, now.waiting) == ("running", run.pid, 2)
        assert str(now) == f"running: process {run.pid}, 2 records not in the file yet"
        assert verify(path) == []
        assert main(["verify", str(path)]) == 0
        assert f"whole so far; running: process {run.pid}" in capsys.readouterr().out
        run.kill()
        run.wait()
    now = status_of(path)
    assert (now.state, now.waiting) == ("killed", 2)
    (problem,) = verify(path)
    assert problem.startswith("killed: 2 records of its journal are not in the file; `rexec results recover")
    assert main(["verify", str(path)]) == 1
    assert recover(journal_path(path)).outcome == "recovered"
    assert str(status_of(path)) == "finished"
    assert verify(path) == []


def finished_beside_its_journal(path: Path) -> Path:
    """Leave what a run leaves whose journal another program had open at its end."""
    writer, manager = begun(path)
    manager.set("x", [1.0])
    with journal_path(path).open("rb") as journal:
        writer.close()
        journal_path(path).write_bytes(journal.read())
    return path


def test_a_journal_left_beside_a_finished_file_is_no_killed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished_beside_its_journal(tmp_path / "r.h5")
    now = status_of(path)
    assert (now.state, now.waiting) == ("finished", 0)
    assert str(now).startswith("finished (its journal was left beside it, and holds nothing more")
    assert verify(path) == []
    assert main(["show", str(path)]) == 0
    assert "completed\n" in capsys.readouterr().out
    with h5py.File(path, "r+") as file:
        file["fit"] = 42.0  # of a person, meanwhile
    recovery = recover(journal_path(path))
    assert str(recovery) == f"removed {journal_path(path)}: {path} holds all of it"
    assert list(tmp_path.iterdir()) == [path]
    with h5py.File(path) as file:
        assert file["fit"][()] == 42.0


def test_a_journal_with_records_that_cannot_be_read_stays_beside_a_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished_beside_its_journal(tmp_path / "r.h5")
    plain = Keeper.read

    def read(keeper: Keeper, size: int | None = None) -> None:
        plain(keeper, size)
        keeper.state.unreadable = 1

    monkeypatch.setattr(Keeper, "read", read)
    recovery = recover(journal_path(path))
    assert recovery.outcome == "damaged"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.h5", "r.h5.journal.damaged"]


def test_a_finished_file_that_somebody_has_changed_is_kept_under_another_name(tmp_path: Path) -> None:
    path = finished_beside_its_journal(tmp_path / "r.h5")
    with h5py.File(path, "r+") as file:
        file["datasets/x"][0] = 2.0
    recovery = recover(journal_path(path))
    assert recovery.outcome == "recovered"
    assert recovery.detail == "the file there held something else, and is r.changed.h5 now"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.changed.h5", "r.h5"]
    with h5py.File(path) as made, h5py.File(tmp_path / "r.changed.h5") as changed:
        assert (made["datasets/x"][0], changed["datasets/x"][0]) == (1.0, 2.0)
    assert str(status_of(path)) == "finished"


def test_a_file_with_all_of_its_journal_whose_run_was_killed_is_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    writer, manager = begun(path)
    manager.set("x", [1.0])
    writer.snapshot()
    for each in (path, journal_path(path)):
        (tmp_path / f"killed-{each.name}").write_bytes(each.read_bytes())
    writer.discard()
    now = status_of(tmp_path / "killed-r.h5")
    assert str(now).startswith("killed: the file holds all of its journal")


def test_a_file_that_is_empty_while_its_journal_is_not_is_not_whole(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    ResultsWriter.create(
        tmp_path / "other.h5", RunIdentity(rid=2, class_name="B", start_time=1.0), refresh_interval=0
    ).close()
    (tmp_path / "other.h5").rename(tmp_path / "r.h5")
    with JournalReader(journal) as reader:
        count = len(list(reader.records()))
    (problem,) = verify(tmp_path / "r.h5")
    assert f"killed: {count} records of its journal are not in the file" in problem
    journal.write_bytes(b"garbage")
    assert "is no journal of a run" in str(status_of(tmp_path / "r.h5"))


def test_a_value_that_cannot_be_read_costs_its_record_and_is_said(tmp_path: Path) -> None:
    from tests.campaigns.journals import Maker

    maker = Maker()
    maker.set("a", [1.0])
    maker.record(Kind.SET, "b", b"\x00\x00no value")
    maker.record(Kind.APPEND, "a", b"~")
    maker.set("c", 3)
    (tmp_path / "r.h5.journal").write_bytes(maker.journal())
    recovery = recover(tmp_path / "r.h5.journal")
    assert (recovery.outcome, recovery.detail) == (
        "damaged",
        "2 records could not be read, kept in r.h5.journal.damaged",
    )
    assert (tmp_path / "r.h5.journal.damaged").read_bytes() == maker.journal()
    with open(tmp_path / "r.h5") as run:
        assert (run["a"], run["c"]) == ([1.0], 3)
        assert "record 3 (SET) cannot be read" in run["b"]
        assert [problem.partition(" cannot")[0] for problem in run.problems] == [
            "b: record 3 (SET)",
            "a: record 4 (APPEND)",
        ]


@pytest.mark.slow
def test_a_sample_of_journals_that_hold_anything_is_read(tmp_path: Path) -> None:
    # In a process of its own, whose memory is bounded.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.campaigns.journals", "--count", "12"],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "0  failed, of 12 journals" in done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs on this system")
def test_a_fifo_in_the_place_of_a_journal_hinders_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.h5.journal")
    assert "no regular file" in recover(tmp_path / "r.h5.journal").detail
    assert status_of(tmp_path / "r.h5").state == "killed"


def test_whatever_a_run_says_of_its_end_is_kept_as_text(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "r.h5")
    other = Journal(tmp_path / "other", sync_interval=0)
    other.put(Record(Kind.IDENTITY, value={"rid": 1}))
    other.put(Record(Kind.END, value={"status": ["odd"], "error": np.arange(3)}))
    other.close()
    other.path.replace(journal)
    assert recover(journal).outcome == "recovered"
    with open(tmp_path / "r.h5") as run:
        assert (run.status, run.error) == ("['odd']", "array([0, 1, 2])")

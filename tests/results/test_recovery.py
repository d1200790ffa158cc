"""What is left of a killed run: its folder is made good on any machine, as often as one likes."""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.results import ResultsWriter, journal_path, recover, recover_folder, recover_some, verify
from rexec.results.errors import ResultsError
from rexec.results.hdf5.values import value_of
from rexec.results.journal.reader import JournalReader
from schemas import RunIdentity
from tests.campaigns import results_faults
from tests.holding import READERS, WRITERS, held, windows


def killed(path: Path, **datasets: Any) -> Path:
    """Leave what a killed run leaves: a journal and a file without the last changes. Return the journal."""
    alive = path.parent / "alive"
    writer = ResultsWriter.create(
        alive / path.name, RunIdentity(rid=5, class_name="Killed", start_time=1.0), refresh_interval=0
    )
    for key, value in datasets.items():
        writer.set(key, value, {})
    shutil.copy(alive / path.name, path)
    shutil.copy(journal_path(alive / path.name), journal_path(path))
    writer.close()
    shutil.rmtree(alive)
    return journal_path(path)


def test_everything_that_was_kept_is_in_the_file(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=[1.0, 2.0], odd=None)
    (recovery,) = recover_folder(tmp_path)
    assert (recovery.outcome, recovery.path, recovery.journal) == ("recovered", tmp_path / "r.h5", journal)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["rid"][()] == 5
        assert file["datasets/x"][()].tolist() == [1.0, 2.0]
        assert value_of(file["datasets/odd"]) is None
        assert file["rexec"].attrs["status"] == "recovered"
    assert os.listdir(tmp_path) == ["r.h5"]
    assert verify(tmp_path / "r.h5") == []


def test_a_file_that_the_system_refuses_is_not_taken_for_another_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = killed(tmp_path / "r.h5", x=1)

    def refused(*arguments: Any, **keywords: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "r.h5")

    with monkeypatch.context() as patch:
        patch.setattr("devicedb.opening.PATIENCE", 0.0)
        patch.setattr("rexec.results.recovery.h5py.File", refused)
        recovery = recover(journal)
    assert recovery.outcome == "failed"
    assert f"cannot read {tmp_path / 'r.h5'}: Permission denied" in recovery.detail
    assert recover(journal).outcome == "recovered"
    assert os.listdir(tmp_path) == ["r.h5"]


@windows
def test_a_working_file_that_another_program_keeps_is_left_or_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, working = tmp_path / "r.h5", tmp_path / ".r.h5.working"
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(path, identity, refresh_interval=0)
    writer.set("x", 1, {})
    writer.snapshot()
    working.touch()
    with monkeypatch.context() as patch, held(working):
        patch.setattr("devicedb.opening.PATIENCE", 0.1)
        with pytest.raises(ResultsError, match="rexec results recover"):
            writer.close()
    assert f"{working} is left there" in caplog.text
    assert journal_path(path).exists()
    assert recover(journal_path(path)).outcome == "recovered"
    assert os.listdir(tmp_path) == ["r.h5"]


@windows
@pytest.mark.parametrize("name", [".r.h5.working", "r.h5"])
@pytest.mark.parametrize("share", [0, READERS | WRITERS])
def test_a_run_ends_whole_where_a_program_keeps_its_file_for_a_moment(
    tmp_path: Path, name: str, share: int
) -> None:
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    writer.set("x", 1, {})
    writer.snapshot()
    (tmp_path / name).touch()
    with held(tmp_path / name, share, seconds=3.0):
        writer.close()
    assert os.listdir(tmp_path) == ["r.h5"]
    assert verify(tmp_path / "r.h5") == []


@pytest.mark.parametrize("module", ["verified", "hdf5.file"])
def test_a_new_file_that_another_program_looks_at_first_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """As Windows refuses it while a virus scanner has it open."""
    refusals = [0]

    def refused(*arguments: Any, **keywords: Any) -> Any:
        refusals[0] += 1
        if refusals[0] < 4:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "r.h5")
        return opened(*arguments, **keywords)

    opened = h5py.File
    identity = RunIdentity(rid=1, class_name="A", start_time=1.0)
    writer = ResultsWriter.create(tmp_path / "r.h5", identity, refresh_interval=0)
    writer.set("x", 1, {})
    with monkeypatch.context() as patch:
        patch.setattr("devicedb.opening._REFUSES_HELD_FILES", True)
        patch.setattr(
            f"rexec.results.{module}.h5py", types.SimpleNamespace(**{**vars(h5py), "File": refused})
        )
        writer.close()
    assert refusals[0] >= 4
    assert os.listdir(tmp_path) == ["r.h5"]
    assert verify(tmp_path / "r.h5") == []


@windows
@pytest.mark.parametrize("share", [0, READERS])
def test_a_journal_that_another_program_keeps_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    with monkeypatch.context() as patch, held(journal, share):
        patch.setattr("devicedb.opening.PATIENCE", 0.1)
        recovery = recover(journal)
    assert recovery.outcome == "failed"
    assert (
        "Permission denied; copy the folder to where you may write, or close the program that has it open"
        in recovery.detail
    )
    with held(journal, share, seconds=1.0):
        assert recover(journal).outcome == "recovered"
    assert os.listdir(tmp_path) == ["r.h5"]


def test_a_journal_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = killed(tmp_path / "r.h5", x=1)

    def unlink(path: Path, **options: Any) -> None:
        if path == journal:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        removed(path, **options)

    removed = Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        patch.setattr("devicedb.opening.PATIENCE", 0.0)
        recovery = recover(journal)
    assert recovery.outcome == "recovered"
    assert "its journal cannot be removed: Permission denied" in str(recovery)
    assert recover(journal).outcome == "finished"


def test_recovering_again_changes_nothing(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    copy = journal.read_bytes()
    assert [recovery.outcome for recovery in recover_folder(tmp_path)] == ["recovered"]
    assert list(recover_folder(tmp_path)) == []
    journal.write_bytes(copy)
    assert [recovery.outcome for recovery in recover_folder(tmp_path)] == ["finished"]
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/x"][()] == 1


def test_many_journals_cost_one_listing_of_their_folder_and_hinder_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = killed(tmp_path / "a.h5", x=1).read_bytes()
    for number in range(20):
        (tmp_path / f"{number:02}.h5.journal").write_bytes(good if number % 2 else b"no journal")
    (tmp_path / ".03.h5.12.tmp").touch()
    (tmp_path / ".03.h5.working").touch()
    listed: list[object] = []
    plain = os.scandir

    def scandir(*path: Any) -> Any:
        listed.append(path)
        return plain(*path)

    monkeypatch.setattr(os, "scandir", scandir)
    first = next(recover_some(tmp_path, tmp_path / "07.h5", seconds=-1.0))
    assert first.startswith(f"recovered {tmp_path / '07.h5'}")
    lines = list(recover_some(tmp_path, tmp_path / "new.h5", seconds=-1.0))
    assert lines == [
        f"left 20 more journals, perhaps of killed runs, for later: `rexec results recover {tmp_path}`"
    ]
    listed.clear()
    outcomes = [each.outcome for each in recover_folder(tmp_path)]
    assert (outcomes.count("failed"), outcomes.count("recovered")) == (10, 10)
    # The journals are searched for, and what is beside them.
    assert len(listed) == 2
    assert [each for each in os.listdir(tmp_path) if each.startswith(".")] == []
    lines = list(recover_some(tmp_path, tmp_path / "new.h5", seconds=math.inf))
    assert [line[:25] for line in lines[:3]] == [f"could not recover {tmp_path}"[:25]] * 3
    assert lines[3:] == [f"could not recover 7 more journals: `rexec results recover {tmp_path}` says why"]


def test_a_running_run_is_left_alone(tmp_path: Path) -> None:
    writer = ResultsWriter.create(tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0))
    assert recover(journal_path(writer.path)).outcome == "running"
    writer.set("x", 1, {})
    writer.close()
    assert verify(tmp_path / "r.h5") == []


def test_a_journal_cut_at_any_byte_gives_a_file_or_nothing(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", a=1, b=[1.5])
    data = journal.read_bytes()
    counts = []
    for length in [*range(0, len(data), 1 if os.name != "nt" else 23), len(data)]:
        (tmp_path / "r.h5").unlink(missing_ok=True)
        journal.write_bytes(data[:length])
        recovery = recover(journal)
        assert recovery.outcome in {"recovered", "empty"}, length
        assert not journal.exists()
        if recovery.path is not None:
            with h5py.File(recovery.path) as file:
                counts.append(len(file["datasets"]))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2}


def test_a_flipped_bit_costs_what_is_behind_it_and_the_journal_is_kept(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", a=1, b=2, c=3)
    with JournalReader(journal) as reader:
        offsets = [reader.offset for _ in reader.records()]
    data = bytearray(journal.read_bytes())
    for position in range(offsets[1], offsets[2]):
        data[position] ^= 1 << position % 8
        journal.write_bytes(data)
        data[position] ^= 1 << position % 8
        (tmp_path / "r.h5").unlink()
        recovery = recover(journal)
        assert recovery.outcome == "damaged"
        assert f"bytes from there on are in {journal.name}.damaged only" in recovery.detail
        assert sorted(os.listdir(tmp_path)) == ["r.h5", "r.h5.journal.damaged"]
        with h5py.File(tmp_path / "r.h5") as file:
            assert list(file["datasets"]) == ["a"]


def test_a_file_that_is_another_runs_is_never_replaced(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    (tmp_path / "r.h5").unlink()
    ResultsWriter.create(
        tmp_path / "kept.h5", RunIdentity(rid=9, class_name="Kept", start_time=1.0), refresh_interval=0
    ).close()
    (tmp_path / "kept.h5").rename(tmp_path / "r.h5")
    assert recover(journal).path == tmp_path / "r.recovered.h5"
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["rid"][()] == 9


def test_an_empty_run_beside_anothers_file_leaves_that_alone_and_makes_none(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5")
    (tmp_path / "r.h5").unlink()
    ResultsWriter.create(
        tmp_path / "kept.h5", RunIdentity(rid=9, class_name="Kept", start_time=1.0), refresh_interval=0
    ).close()
    (tmp_path / "kept.h5").rename(tmp_path / "r.h5")
    before = (tmp_path / "r.h5").read_bytes()
    assert recover(journal).outcome == "empty"
    assert os.listdir(tmp_path) == ["r.h5"]
    assert (tmp_path / "r.h5").read_bytes() == before


def test_a_recovery_without_space_leaves_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = killed(tmp_path / "r.h5", x=1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("rexec.results.copies.publish", full)
        recovery = recover(journal)
    assert (recovery.outcome, journal.exists()) == ("failed", True)
    assert "No space left" in str(recovery)
    assert recover(journal).outcome == "recovered"


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.h5.journal").write_bytes(b"something else" * 10)
    (recovery,) = recover_folder(tmp_path)
    assert recovery.outcome == "failed"
    assert "is no journal of a run" in recovery.detail
    assert (tmp_path / "x.h5.journal").exists()


def test_a_folder_of_another_user_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = killed(tmp_path / "r.h5", x=1)

    def refuse(*_: Any) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        recovery = recover(journal)
    assert recovery.outcome == "failed"
    assert "Permission denied; copy the folder to where you may write" in recovery.detail


def test_a_reader_that_holds_the_file_hinders_nothing(tmp_path: Path) -> None:
    journal = killed(tmp_path / "r.h5", x=1)
    with h5py.File(tmp_path / "r.h5") as held:
        if os.name == "nt":  # an open file cannot be replaced there: it is said, and nothing is lost
            assert "close the program that has it open" in recover(journal).detail
        else:
            assert recover(journal).outcome == "recovered"
        assert "x" not in held["datasets"]
    assert os.name != "nt" or recover(journal).outcome == "recovered"
    assert verify(tmp_path / "r.h5") == []
    assert os.listdir(tmp_path) == ["r.h5"]


def test_the_final_verification_keeps_the_journal_of_a_file_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ResultsWriter.create(
        tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=1.0), refresh_interval=0
    )
    writer.set("x", np.arange(10), {})

    def corrupt(temporary: Path, path: Path) -> None:
        with h5py.File(temporary, "a") as file:
            file["datasets/x"][3] = 99
        temporary.replace(path)

    with monkeypatch.context() as patch:
        patch.setattr("rexec.results.copies.publish", corrupt)
        with pytest.raises(ResultsError, match="datasets/x has other content"):
            writer.close()
        recovery = recover(journal_path(tmp_path / "r.h5"))
        assert (recovery.outcome, "datasets/x has other content" in recovery.detail) == ("failed", True)
    assert recover(journal_path(tmp_path / "r.h5")).outcome == "recovered"
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/x"][()].tolist() == list(range(10))


def sample(*arguments: str) -> str:
    """Run the campaign in a process of its own (it forks); return what it printed."""
    command = [sys.executable, "-m", "tests.campaigns.results_faults", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign kills forked processes")
def test_a_sample_of_killed_runs_and_recoveries_loses_nothing() -> None:
    assert "0  failed, of 16 rounds" in sample("kill9", "--count", "16")


@pytest.mark.slow
def test_a_sample_of_full_disks_loses_nothing() -> None:
    try:
        with results_faults.small_disk(64):
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small tmpfs is not permitted here")
    assert "0  failed, of 4 rounds" in sample("diskfull", "--count", "4")


def test_a_folder_recovered_on_another_machine_needs_nothing_else(tmp_path: Path) -> None:
    killed(tmp_path / "r.h5", x=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "r.h5.journal", elsewhere)
    code = "import sys,json; from pathlib import Path; from rexec.results import recover_folder\n"
    code += "print(json.dumps([r.outcome for r in recover_folder(Path(sys.argv[1]))]))"
    done = subprocess.run([sys.executable, "-c", code, elsewhere], capture_output=True, check=True, cwd="/")
    assert json.loads(done.stdout) == ["recovered"]


def test_the_next_run_recovers_what_a_killed_one_left_and_says_so(tmp_path: Path) -> None:
    hour = tmp_path / "results" / "2026-01-01" / "00"
    hour.mkdir(parents=True)
    killed(hour / "000000005-Killed.h5", x=1)
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    (tmp_path / "quiet.py").write_text(
        "from rexec.experiment import EnvExperiment\n\n\n"
        "class Quiet(EnvExperiment):\n    def build(self):\n        pass\n\n"
        "    def run(self):\n        self.set_dataset('y', 2)\n"
    )
    command = [sys.executable, "-m", "rexec", "run", "quiet.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "recovered" in done.stderr
    assert os.listdir(hour) == ["000000005-Killed.h5"]
    assert "run 6 of Quiet" in done.stdout

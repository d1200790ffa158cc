"""A run's file: there from the start, whole at any time, ARTIQ's layout, verified at the end."""

import contextlib
import errno
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetManager
from rexec.results import ResultsError, ResultsNotWritable, ResultsWriter, journal_path, verify, write_results
from rexec.results.errors import ResultsMismatch
from rexec.results.hdf5.storage import COMPRESS_FROM
from rexec.results.hdf5.values import pyon_of, value_of
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind
from rexec.results.keeper import state_of
from rexec.results.recovery import recover, recover_some
from rexec.results.verified import verify_against
from schemas import RunIdentity

IDENTITY = RunIdentity(
    rid=7,
    class_name="Scan",
    start_time=100.5,
    artiq_version="9",
    expid={"file": "scan.py", "class_name": "Scan", "arguments": {"n": 5, "odd": object()}},
    device_db={"core": {"type": "local"}},
    sources={"ab" * 32: "def f(): pass\n"},
)


def begun(path: Path, **options: Any) -> ResultsWriter:
    return ResultsWriter.create(path, IDENTITY, **{"refresh_interval": 0} | options)


def test_identity_is_in_the_file_before_any_data(tmp_path: Path) -> None:
    writer = begun(tmp_path / "a" / "b" / "r.h5")
    with h5py.File(writer.path) as file:
        assert file["rid"][()] == 7
        assert file["rid"].dtype == np.int64
        assert file["start_time"][()] == 100.5
        assert file["artiq_version"].asstr()[()] == "9"
        expid = pyon_of(file["expid"][()])
        assert (expid["file"], expid["arguments"]["n"]) == ("scan.py", 5)
        assert pyon_of(file["rexec/device_db"][()]) == {"core": {"type": "local"}}
        assert file["rexec/sources"]["ab" * 32].asstr()[()] == "def f(): pass\n"
        assert file["rexec"].attrs["status"] == "running"
        assert "run_time" not in file
    writer.update_identity(run_time=200.0)
    with pytest.raises(TypeError, match="no field oops"):
        writer.update_identity(oops=1)
    writer.close()
    with h5py.File(writer.path) as file:
        assert file["run_time"][()] == 200.0
        assert file["rexec"].attrs["status"] == "completed"
    assert os.listdir(writer.path.parent) == ["r.h5"]


def test_a_journal_that_somebody_holds_open_does_not_spoil_a_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("x", 1, {})
    journal, real = journal_path(writer.path), Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == journal:  # as Windows refuses it
            raise PermissionError(errno.EACCES, "it is in use", str(path))
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        patch.setattr("devicedb.opening.PATIENCE", 0.0)
        assert writer.close() == writer.path
    assert "is finished, but its journal cannot be removed" in caplog.text
    assert recover(journal).outcome == "finished"
    assert os.listdir(tmp_path) == ["r.h5"]
    assert verify(writer.path) == []
    with h5py.File(writer.path) as file:
        assert file["rexec"].attrs["status"] == "completed"


def test_a_run_ends_while_another_program_reads_its_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("x", 1, {})
    with JournalReader(journal_path(writer.path)) as reader:
        assert writer.close() == writer.path
        assert [each.key for each in reader.records() if each.kind is Kind.SET] == ["x"]
    assert caplog.text == ""
    assert os.listdir(tmp_path) == ["r.h5"]


def test_the_file_is_refreshed_while_the_run_goes_on_and_can_be_held_open(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5", refresh_interval=0.02)
    manager = DatasetManager(DatasetDB(), sink=writer)
    held = h5py.File(writer.path)  # before there is a dataset that a refresh could show
    manager.set("x", [])
    for number in range(100):
        manager.append_to("x", float(number))
    if os.name == "nt":  # an open file cannot be replaced there: the refreshes wait for its end
        held.close()
    deadline = time.monotonic() + 150
    rows = 0
    while rows < 100:
        assert time.monotonic() < deadline
        with contextlib.suppress(PermissionError):  # Windows, while the file is replaced
            with h5py.File(writer.path) as file:
                rows = len(file["datasets/x"]) if "datasets/x" in file else 0
        time.sleep(0.005)
    assert not held or "datasets/x" not in held
    held.close()
    writer.close()


def test_snapshots_write_only_what_is_new_and_end_in_the_same_file(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("rows", [])
    manager.set("mixed", [])
    manager.set("texts", ["a"] * 400)
    manager.set("image", np.zeros((100, 100)))
    manager.set("frames", [np.zeros(300)] * 3)
    for step in range(8):
        for number in range(700):
            manager.append_to("rows", step + number / 1000)
        manager.append_to("mixed", step if step < 4 else f"now text {step}")
        manager.append_to("texts", f"é{step}")
        manager.append_to("frames", np.full(300, float(step)))
        manager.mutate("image", step, np.full(100, float(step)))
        manager.mutate("rows", (5, 10), [float(step)] * 5)
        manager.mutate("rows", -1, 0.25)
        manager.set("scalar", step)
        manager.set("text", "x" * step)
        manager.set(f"group/{step}", step)
        writer.snapshot()
    manager.mutate("rows", (0, 2), [])
    writer.close()
    with h5py.File(writer.path) as file:
        for key, dataset in manager.local.items():
            held = value_of(file["datasets"][key])
            assert np.array_equal(np.asarray(held), np.asarray(dataset.value)), key
        assert file["datasets/rows"].chunks is not None
    assert verify(writer.path) == []


def test_a_journal_is_bigger_before_a_change_returns(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    manager = DatasetManager(DatasetDB(), sink=writer)
    journal = journal_path(writer.path)
    changes: list[Callable[[], None]] = [
        lambda: manager.set("x", [1.0]),
        lambda: manager.append_to("x", 2.0),
        lambda: manager.mutate("x", 0, 3.0),
    ]
    for change in changes:
        before = journal.stat().st_size
        change()
        assert journal.stat().st_size > before
    writer.close()


def test_a_run_that_failed_has_its_file_and_its_error(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("x", 1, {})
    error = RuntimeError("laser unlocked")
    with pytest.raises(RuntimeError), writer:
        raise error
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/x"][()] == 1
        assert file["rexec"].attrs["status"] == "failed"
        assert file["rexec/error"].asstr()[()] == "RuntimeError: laser unlocked"


def test_a_result_is_never_written_over_unless_that_is_asked_for(tmp_path: Path) -> None:
    begun(tmp_path / "r.h5").close()
    with pytest.raises(ResultsNotWritable, match="exists already"):
        begun(tmp_path / "r.h5")
    begun(tmp_path / "r.h5", overwrite=True).close()


@pytest.mark.skipif(os.name != "nt", reason="names that Windows refuses, or takes for something else")
@pytest.mark.parametrize(
    "name", ["scan_12:30.h5", "CON.h5", "nul", "a?.h5", "a.h5.", "a.h5 ", "a /b.h5", "con/a.h5"]
)
def test_a_name_that_windows_refuses_is_said_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultsNotWritable, match=r"Windows has devices, .* name another"):
        begun(tmp_path / name)
    assert not os.listdir(tmp_path)  # no stream of a file scan_12 either


def test_one_that_is_interrupted_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        assert journal_path(tmp_path / "r.h5").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("rexec.results.journal.writer.Journal.sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path / "r.h5")
    assert os.listdir(tmp_path) == []


def test_the_root_is_no_result_file(tmp_path: Path) -> None:
    root = Path(tmp_path.anchor)
    assert list(recover_some(tmp_path, root)) == []
    with pytest.raises(ResultsNotWritable, match="it is a folder; name a file"):
        begun(root)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("rexec.results.journal._file.try_lock", refuse)
    with pytest.raises(ResultsNotWritable, match=r"has no locks .*use a folder on a local disk"):
        begun(tmp_path / "r.h5")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_a_file_system_that_cannot_sync_folders_nor_link_files_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr("rexec.results.copies.TWO_COPIES_FROM", 1)
    writer = begun(tmp_path / "r.h5")
    for number in range(4):
        writer.set(f"x{number}", number, {})
        writer.snapshot()
    writer.close()
    assert verify(writer.path) == []
    assert os.listdir(tmp_path) == ["r.h5"]


def test_two_runs_never_share_a_file(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    with pytest.raises(ResultsNotWritable, match="another run is writing this result"):
        begun(tmp_path / "r.h5", overwrite=True)
    writer.close()


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file/r.h5", "file/folder/r.h5"):
        with pytest.raises(ResultsNotWritable, match=r"cannot write results into .*choose another folder"):
            begun(tmp_path / name)
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(ResultsNotWritable):
        begun(tmp_path / "folder.h5", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.h5"]


def test_a_file_that_cannot_be_finished_keeps_its_journal(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("x", 1, {})
    writer.path.unlink()
    writer.path.mkdir()
    with pytest.raises(ResultsError, match="rexec results recover"):
        writer.close()
    assert journal_path(writer.path).exists()


def test_a_refresh_that_fails_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = begun(tmp_path / "r.h5", refresh_interval=0.01)
    away = tmp_path / "away"
    with writer._refresher._lock:  # else a refresh may put a file there before the folder is
        writer.path.rename(away)
        writer.path.mkdir()
    writer.set("x", 1, {})
    deadline = time.monotonic() + 150
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    writer.path.rmdir()
    writer.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_verification_notices_what_is_missing_or_different(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    for name, value in {"gone": 1, "short": [1, 2, 3], "other": 5.0}.items():
        writer.set(name, value, {})
    journal = Path(shutil.copy(journal_path(writer.path), tmp_path / "copy"))
    writer.close()
    state = state_of(journal, journal.stat().st_size)
    verify_against(writer.path, state)
    with h5py.File(writer.path, "a") as file:
        del file["datasets/gone"]
        file["datasets/other"][()] = 6.0
    (problem,) = verify(writer.path)
    assert problem.startswith("datasets/other has checksum")
    with pytest.raises(ResultsMismatch, match=r"datasets/gone is missing; datasets/other has other content"):
        verify_against(writer.path, state)


def test_verification_looks_at_what_is_beside_a_dataset(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("masked", np.ma.array([1.0, 2.0], mask=[True, False]), {})
    writer.set("mixed", [np.ma.masked, 1.0], {})
    journal = Path(shutil.copy(journal_path(writer.path), tmp_path / "copy"))
    writer.close()
    state = state_of(journal, journal.stat().st_size)
    verify_against(writer.path, state)
    with h5py.File(writer.path, "a") as file:
        file["rexec/beside/datasets/masked/mask"][0] = False
        del file["rexec/beside/datasets/mixed/exact"]
    with pytest.raises(
        ResultsMismatch,
        match=r"mask of /datasets/masked has other content; exact of /datasets/mixed is missing",
    ):
        verify_against(writer.path, state)


SLICES = [slice(2, 5), slice(7, 2, -2), slice(None, None, 3), slice(-3, None), slice(4, 4), -1, 0]


@pytest.mark.parametrize(
    "value", [[0.0] * 10, [0.0] * (COMPRESS_FROM // 4), np.zeros((10, 3))], ids=["list", "growing", "array"]
)
@pytest.mark.parametrize("index", SLICES, ids=str)
def test_rows_of_a_slice_changed_after_a_refresh_are_in_the_next(
    index: Any, value: Any, tmp_path: Path
) -> None:
    writer = begun(tmp_path / "r.h5")
    expected = np.array(value)
    writer.set("x", value, {})
    writer.snapshot()
    for number in range(1, 4):
        rows = expected[index]
        rows = np.full(rows.shape, float(number))
        writer.mutate("x", index, rows.tolist() if isinstance(value, list) else rows)
        expected[index] = rows
        writer.snapshot()
        with h5py.File(writer.path) as file:
            assert file["datasets/x"][()].tolist() == expected.tolist()
    writer.close()
    assert verify(writer.path) == []


def test_a_declared_plot_is_what_nexus_viewers_show(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    writer.set("scan/t", [1.0, 2.0], {})
    writer.set("scan/y", [3.0, 4.0], {})
    writer.declare_plot("scan/y", ["scan/t"])
    writer.close()
    with h5py.File(writer.path) as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        assert data[data.attrs["signal"]][()].tolist() == [3.0, 4.0]
        assert [data[axis][()].tolist() for axis in data.attrs["axes"]] == [[1.0, 2.0]]


def test_artiqs_manager_call_writes_the_two_groups(tmp_path: Path) -> None:
    writer = begun(tmp_path / "r.h5")
    manager = DatasetManager(DatasetDB(), sink=writer)
    manager.set("x", 1)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        manager.write_hdf5(file)
    writer.close()
    with h5py.File(tmp_path / "other.h5") as file:
        assert file["datasets/x"][()] == 1
        assert "archive" in file


def test_data_that_exist_already_are_written_at_once(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.h5", IDENTITY, {"x": 1, "none": None}, {"c": 2.0})
    with h5py.File(path) as file:
        assert file["datasets/x"][()] == 1
        assert value_of(file["datasets/none"]) is None
        assert file["archive/c"][()] == 2.0


def test_a_run_that_never_began_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    write_results(tmp_path / "r.h5", IDENTITY, {"x": 1})
    begun(tmp_path / "r.h5", overwrite=True).discard()
    begun(tmp_path / "new.h5").discard()
    assert os.listdir(tmp_path) == ["r.h5"]
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["datasets/x"][()] == 1

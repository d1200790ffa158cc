"""The index is never the truth: whatever is done to it, the answers are those of the files."""

import errno
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rexec.catalogue import find
from rexec.catalogue.index import INDEX_NAME
from rexec.catalogue.notes import comment
from rexec.catalogue.refreshing import Refreshing
from rexec.results import ResultsError, write_results
from schemas import RunIdentity
from tests.catalogue.laboratories import BEGIN, laboratory, made, settled

QUERIES = [
    "",
    "class=Ramsey",
    "phase>0.5",
    "exposure=5ms",
    "mode=fast",
    "host=lab1 dirty=yes",
    "dataset=signal",
    "old",
]


def answers(folder: Path) -> list[list[str]]:
    return [[str(run.path) for run in find(query, folder=folder)] for query in QUERIES]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a laboratory of 16 runs, without an index."""
    folder = tmp_path_factory.mktemp("laboratory") / "results"
    folder.mkdir()
    laboratory(folder, 16)
    settled(folder)
    return folder


@pytest.fixture
def folder(original: Path, results: Path) -> Path:
    """Return a copy of the laboratory."""
    shutil.copytree(original, results, dirs_exist_ok=True)
    return results


def delete(index: Path) -> None:
    index.unlink()


def truncate(index: Path) -> None:
    with index.open("r+b") as file:
        file.truncate(index.stat().st_size // 2 // 512 * 512 + 100)


def empty(index: Path) -> None:
    index.write_bytes(b"")


def garbage(index: Path) -> None:
    index.write_bytes(random.Random(1).randbytes(index.stat().st_size))


def of_a_newer_version(index: Path) -> None:
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("DELETE FROM run")
    connection.close()


def of_an_older_version(index: Path) -> None:
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("DROP TABLE value")
    connection.close()


def of_another_program(index: Path) -> None:
    index.unlink()
    with sqlite3.connect(index) as connection:
        connection.execute("CREATE TABLE run (x)")
    connection.close()


def a_folder(index: Path) -> None:
    index.unlink()
    index.mkdir()


def rows_were_changed(index: Path) -> None:
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE run SET class = 'Ramsey', host = 'lab1'")
        connection.execute("UPDATE value SET number = 0.9")
    connection.close()


def rows_were_removed(index: Path) -> None:
    with sqlite3.connect(index) as connection:
        connection.execute("DELETE FROM run WHERE rid % 2 = 0")
        connection.execute("DELETE FROM value WHERE run % 3 = 0")
        connection.execute("DELETE FROM search WHERE run % 5 = 0")
    connection.close()


def facts_were_changed(index: Path) -> None:
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE fact SET text = replace(text, 'Rabi', 'Robi')")
        connection.execute("UPDATE run SET class = 'Robi' WHERE class = 'Rabi'")
    connection.close()


def bytes_were_changed(index: Path) -> None:
    chance = random.Random(2)
    data = bytearray(index.read_bytes())
    for _ in range(20):
        data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
    index.write_bytes(data)


FAULTS = [
    delete, truncate, empty, garbage, of_a_newer_version, of_an_older_version, of_another_program, a_folder,
    rows_were_changed, rows_were_removed, facts_were_changed, bytes_were_changed,
]  # fmt: skip


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda function: function.__name__)
def test_a_spoilt_index_changes_no_answer(folder: Path, spoil: Callable[[Path], None]) -> None:
    before = answers(folder)
    assert len(before[0]) == 16
    assert all(before)
    spoil(folder / INDEX_NAME)
    assert answers(folder) == before
    assert answers(folder) == before


@pytest.mark.parametrize(
    "spoil", [garbage, of_a_newer_version, a_folder], ids=lambda function: function.__name__
)
def test_an_index_that_cannot_be_used_is_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    """Where it stays open until the garbage is collected, Windows cannot replace it, and newer Pythons warn."""
    answers(folder)
    spoil(folder / INDEX_NAME)
    is_open: list[bool] = []

    class Watched(sqlite3.Connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.number = len(is_open)
            is_open.append(True)

        def close(self) -> None:
            is_open[self.number] = False
            super().close()

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: real(*args, factory=Watched, **options))
    answers(folder)
    assert is_open
    assert not any(is_open)


def test_an_index_that_is_up_to_date_is_not_written(folder: Path) -> None:
    answers(folder)
    state = (folder / INDEX_NAME).stat()
    answers(folder)
    assert (folder / INDEX_NAME).stat().st_mtime_ns == state.st_mtime_ns


def test_no_file_is_read_twice(folder: Path) -> None:
    code = "import sys; from rexec.catalogue import find; print(len(find()), 'h5py' in sys.modules)"
    run = [sys.executable, "-c", code]
    said = [subprocess.run(run, capture_output=True, text=True, check=True, timeout=150).stdout for _ in "12"]
    assert said == ["16 True\n", "16 False\n"]


def test_files_that_come_change_and_go_are_seen(folder: Path) -> None:
    assert len(find("class=Late")) == 0
    path = write_results(folder / "late.h5", RunIdentity(99, "Late", BEGIN), {"x": 1})
    assert len(find("class=Late x=1")) == 1
    path.unlink()
    write_results(path, RunIdentity(99, "Late", BEGIN), {"x": 2})
    assert len(find("class=Late x=2")) == 1
    path.rename(folder / "2026-11-02" / "moved.h5")
    assert [run.path.name for run in find("class=Late")] == ["moved.h5"]
    shutil.rmtree(folder / "2026-11-02")
    assert not find("class=Late")
    assert all(run.path.exists() for run in find())


@pytest.mark.parametrize("exact", [5_000, 5])
def test_what_the_system_refused_to_read_is_read_once_it_may_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch, exact: int
) -> None:
    """As Windows refuses a file that a virus scanner has open: nothing in the file shows when that is over."""
    monkeypatch.setattr("rexec.catalogue.refreshing.EXACT", exact)
    comment(find("rid=3")[0].path, "hello")
    for index in folder.glob(f"{INDEX_NAME}*"):
        index.unlink()
    settled(folder)

    def refused(*arguments: Any, **keywords: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", "it")

    with monkeypatch.context() as patch:
        patch.setattr("rexec.catalogue.reading.opened", refused)
        patch.setattr("rexec.catalogue.notes.open_to_read", refused)
        remedy = "; close the program that has it open" if os.name == "nt" else ""
        assert [run.facts.problem for run in find()] == [f"Permission denied{remedy}"] * 16
    with monkeypatch.context() as patch:
        patch.setattr("rexec.catalogue.notes.open_to_read", refused)
        assert len(find("rid=3")) == 1
        assert not find("comment~hello")
    assert [run.rid for run in find("comment~hello")] == [3]
    assert not find("kind=unreadable")


def test_a_file_that_is_changed_in_place_is_seen(folder: Path) -> None:
    import h5py

    before = find("rid=3")[0].path
    answers(folder)
    with h5py.File(before, "r+") as file:
        file["datasets/added"] = 1
    assert [run.rid for run in find("dataset=added")] == [3]


def test_a_large_folder_is_looked_at_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    monkeypatch.setattr("rexec.catalogue.refreshing.EXACT", 5)
    monkeypatch.setattr("rexec.catalogue.refreshing.PART", 10**9)
    find()
    path = made(folder, 77, "New")
    assert len(find("class=New")) == 1  # its folder has changed
    settled(folder)
    find(check=True)
    with h5py.File(path, "r+") as file:
        file["datasets/added"] = 1
    os.utime(path, (BEGIN, BEGIN))
    assert len(find("class=New")[0].facts.datasets) == 2  # it is of the answer
    assert len(find("dataset=added")) == 1
    with h5py.File(path, "r+") as file:
        file["datasets/again"] = 1
    os.utime(path, (BEGIN, BEGIN))
    assert len(find("dataset=again", check=True)) == 1


def test_an_index_in_use_is_waited_for_or_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)
    made(folder, 99, "Late")
    monkeypatch.setattr("rexec.catalogue.index_file._PATIENCE", 0.1)
    other = sqlite3.connect(folder / INDEX_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert len(find("class=Late")) == 1
        assert len(find()) == len(before[0]) + 1
    finally:
        other.close()


def test_a_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)
    (folder / INDEX_NAME).unlink()
    real = sqlite3.connect

    def connect(path: object, *arguments: object, **options: object) -> sqlite3.Connection:
        if isinstance(path, Path) and path.is_relative_to(folder):
            raise sqlite3.OperationalError("unable to open database file")
        return real(path, *arguments, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert answers(folder) == before
    assert not (folder / INDEX_NAME).exists()


def test_without_any_place_for_an_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(folder)
    monkeypatch.setattr("rexec.catalogue.places._cached", lambda root: None)
    a_folder(folder / INDEX_NAME)
    assert answers(folder) == before


def test_a_read_that_is_stopped_goes_on_where_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.catalogue.refreshing._BATCH", 5)
    seen: list[tuple[int, int]] = []

    def stop(read: int, total: int) -> None:
        seen.append((read, total))
        if read == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(progress=stop)
    assert seen[-1] == (12, 16)
    seen.clear()
    assert len(find(progress=lambda *each: seen.append(each))) == 16
    assert seen[-1] == (6, 6)


def test_two_processes_at_once(folder: Path) -> None:
    code = "from rexec.catalogue import find; print(len(find('kind=run,artiq')))"
    run = [sys.executable, "-c", code]
    running = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=150)[0] for process in running] == ["16\n"] * 3


def test_a_change_within_the_tick_of_the_clock_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    made(folder, 90, "Early")
    inner = find("class=Early")[0].path.parent
    os.utime(inner, (now, now))
    find()
    write_results(inner / "second.h5", RunIdentity(91, "Early", BEGIN), {"x": 1})
    os.utime(inner, (now, now))
    assert len(find("class=Early")) == 2


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_links_to_folders_are_followed_once(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "archive"
    shutil.copytree(folder, outside)
    (folder / "loop").symlink_to(folder)
    assert len(find()) == 16
    (folder / "older").symlink_to(outside)
    assert len(find()) == 32
    assert len(find()) == 32


def test_refreshing_reads_the_newest_folder_first(folder: Path) -> None:
    from rexec.catalogue.index import RunIndex

    with RunIndex(None) as index:
        read: list[str] = []
        refreshing = Refreshing(index, folder)
        original = refreshing._read_folder
        refreshing._read_folder = lambda below: (read.append(below), original(below))[1]  # type: ignore[method-assign,func-returns-value]
        refreshing.run()
    assert read == sorted(read, reverse=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no folder with an open file in it")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_folder_that_goes_during_a_question_has_not_no_runs(
    results: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    made(results, 1)
    find(folder=results)
    run = Refreshing.run

    def going(self: Refreshing) -> None:
        if when == "after":
            run(self)
        shutil.rmtree(results, ignore_errors=True)
        if when == "before":
            run(self)

    monkeypatch.setattr(Refreshing, "run", going)
    with pytest.raises(ResultsError, match="there is no folder"):
        find(folder=results)


def test_a_folder_of_a_day_that_goes_during_a_question_is_not_in_its_answer(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [made(results, rid) for rid in (1, 30)]
    find(folder=results)
    run = Refreshing.run

    def going(self: Refreshing) -> None:
        run(self)
        shutil.rmtree(paths[1].parent, ignore_errors=True)

    monkeypatch.setattr(Refreshing, "run", going)
    assert [found.rid for found in find(folder=results)] == [1]

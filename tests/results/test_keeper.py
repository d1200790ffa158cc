"""The keeper of one file: what it shows and when, and what it makes of a journal that is gone or has an end."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec import results
from rexec.results import item, keeper, verify
from rexec.results.copies import Copies
from rexec.results.errors import JournalDamaged, ResultsError, ValueSuperseded
from rexec.results.hdf5.file import FoldedFile
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import SHORT_SIZE, Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper, state_of

END = {"status": "recovered", "error": "killed"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.IDENTITY, value={"rid": 5}))
        yield journal


@contextlib.contextmanager
def keeping(journal: Journal, path: Path, **options: Any) -> Iterator[Keeper]:
    kept = Keeper(JournalReader(journal.path), path, **options)
    with contextlib.closing(kept):
        yield kept
    assert kept.reader.descriptor == -1


def shown(kept: Keeper) -> bool:
    return kept.shown


def put_data(journal: Journal) -> None:
    journal.put(Record(Kind.SET, "x", value=[1.0], metadata={}, archive=True))


def put_read(journal: Journal) -> None:
    journal.put(Record(Kind.ARCHIVE, "x", value=1.0, metadata={}))


def put_end(journal: Journal) -> None:
    journal.put(Record(Kind.END, value={"status": "completed", "error": None, "time": 2.0}))


@pytest.mark.parametrize("put", [put_data, put_read, put_end])
def test_the_file_of_another_run_stays_until_there_is_something_to_put_in_its_place(
    journal: Journal, tmp_path: Path, put: Callable[[Journal], None]
) -> None:
    path = tmp_path / "r.h5"
    path.write_text("of another run")
    with keeping(journal, path, replaces=True) as kept:
        for _ in range(2):
            kept.bring_up_to(journal.size)
            assert not shown(kept)
            assert path.read_text() == "of another run"
        put(journal)
        kept.bring_up_to(journal.size)
        assert shown(kept)
        assert verify(path) == []


def test_a_new_file_is_shown_before_there_are_data(journal: Journal, tmp_path: Path) -> None:
    with keeping(journal, tmp_path / "r.h5") as kept:
        assert not shown(kept)
        kept.bring_up_to(journal.size)
        assert shown(kept)
        with h5py.File(kept.path) as file:
            assert file["rid"][()] == 5


def test_only_so_much_of_the_journal_is_in_the_file_as_was_asked_for(
    journal: Journal, tmp_path: Path
) -> None:
    size = journal.size
    put_data(journal)
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.bring_up_to(size)
        with h5py.File(kept.path) as file:
            assert list(file["datasets"]) == []
        kept.bring_up_to(journal.size)
        with h5py.File(kept.path) as file:
            assert list(file["datasets"]) == ["x"]
    assert list(state_of(journal.path, size).datasets) == []
    assert list(state_of(journal.path, journal.size).datasets) == ["x"]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames no file that its writer has open")
def test_a_journal_that_is_gone_is_missed_only_if_something_of_it_is(
    journal: Journal, tmp_path: Path
) -> None:
    put_data(journal)
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.read(journal.size)
        journal.path.rename(tmp_path / "elsewhere")
        kept.read(journal.size)
        kept.read(journal.size - 1)
        kept.read()
        with pytest.raises(JournalDamaged, match="j is gone: No such file"):
            kept.read(journal.size + 1)
        (tmp_path / "elsewhere").rename(journal.path)
        put_end(journal)
        kept.finish(journal.size, END)
    assert verify(tmp_path / "r.h5") == []


@pytest.mark.parametrize(("put", "status"), [(put_data, "recovered"), (put_end, "completed")])
def test_how_a_run_ended_is_what_its_journal_says_if_it_says_so(
    journal: Journal, tmp_path: Path, put: Callable[[Journal], None], status: str
) -> None:
    put(journal)
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.finish(None, dict(END))
    with results.open(tmp_path / "r.h5") as run:
        assert (run.status, run.error) == (status, "killed" if status == "recovered" else None)


def test_a_file_that_cannot_be_written_is_named_with_the_reason(journal: Journal, tmp_path: Path) -> None:
    put_data(journal)
    (tmp_path / "r.h5").mkdir()
    with keeping(journal, tmp_path / "r.h5") as kept:
        with pytest.raises(ResultsError, match=r"cannot write .*r\.h5: "):
            kept.bring_up_to(journal.size)
        assert not shown(kept)
        (tmp_path / "r.h5").rmdir()
        kept.bring_up_to(journal.size)
        assert shown(kept)
    assert verify(tmp_path / "r.h5") == []


@pytest.mark.parametrize("kind", [PermissionError, OSError])
def test_the_program_that_has_a_file_open_is_told_of_where_that_hinders(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind(errno.EIO if kind is OSError else errno.EACCES, "refused")

    monkeypatch.setattr(Copies, "publish", refuse)
    with keeping(journal, tmp_path / "r.h5") as kept, pytest.raises(ResultsError) as caught:
        kept.bring_up_to(journal.size)
    is_held = os.name == "nt" and kind is PermissionError
    assert ("close the program that has it open" in str(caught.value)) == is_held


ROWS = 64
"""Rows of numbers that are worth releasing, with the limits below."""


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Which datasets are written while the journal is read, at each time."""
    monkeypatch.setattr(keeper, "SPILL_EVERY", ROWS * SHORT_SIZE)
    monkeypatch.setattr(item, "RELEASE_FROM", ROWS * 64)
    found: list[Any] = []
    real = FoldedFile.update

    def noted(self: FoldedFile, *arguments: Any, **options: Any) -> None:
        found.append(options.get("only"))
        real(self, *arguments, **options)

    monkeypatch.setattr(FoldedFile, "update", noted)
    return found


def put_list(journal: Journal, key: str, values: Iterable[Any]) -> None:
    journal.put(Record(Kind.SET, key, value=[], metadata={}))
    for value in values:
        journal.append(key, value)


@pytest.mark.parametrize("releases", [True, False])
def test_rows_are_written_as_often_as_so_many_bytes_are_read_and_are_then_in_the_file_alone(
    journal: Journal, tmp_path: Path, updates: list[Any], releases: bool
) -> None:
    put_list(journal, "light", [0.5])
    put_list(journal, "odd", [{}] * 1000)
    put_list(journal, "x", [])
    size = journal.size
    for number in range(10 * ROWS):
        journal.append("x", number * 0.5)
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.releases = releases
        kept.read(size)
        odd = len(updates)
        kept.read()
        # Of what only a whole rewriting could bring up to date nothing is gained.
        assert updates == ([["odd"]] * odd + [["x"]] * 10 if releases else [])
        assert (odd == 1) == releases
        found = kept.state.datasets["x"]
        assert (found.rows, len(found.value)) == (10 * ROWS, 0 if releases else 10 * ROWS)
        assert kept.state.datasets["odd"].released == 0
        assert not kept.path.exists()
        kept.finish(None, dict(END))
        assert (kept.releases, updates[-1]) == (releases, None)
    assert verify(tmp_path / "r.h5") == []
    with results.open(tmp_path / "r.h5") as run:
        assert run["x"] == [number * 0.5 for number in range(10 * ROWS)]


def test_where_no_file_has_the_rows_that_were_released_all_are_held(
    journal: Journal, tmp_path: Path, updates: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FoldedFile, "is_begun", property(lambda _: False))
    put_list(journal, "x", range(10 * ROWS))
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.read()
        assert kept.state.has_released
        kept.bring_up_to(journal.size)
        assert (kept.releases, kept.state.has_released) == (False, False)
        monkeypatch.setattr(Keeper, "_write", lambda *_: False)
        with pytest.raises(
            AssertionError, match=r"r\.h5: rows are missing of a journal that was folded whole"
        ):
            kept.bring_up_to(journal.size)
    assert verify(tmp_path / "r.h5") == []


def test_a_row_of_another_kind_has_the_journal_read_once_more(
    journal: Journal, tmp_path: Path, updates: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_list(journal, "x", range(10 * ROWS))
    journal.append("x", "text")
    again: list[None] = []
    real = Keeper._fold_again

    def noted(self: Keeper, size: int | None) -> None:
        again.append(None)
        real(self, size)

    monkeypatch.setattr(Keeper, "_fold_again", noted)
    with keeping(journal, tmp_path / "r.h5") as kept:
        kept.bring_up_to(journal.size)
        assert (len(again), kept.releases) == (1, False)
    assert verify(tmp_path / "r.h5") == []


@pytest.mark.parametrize(("times", "is_written"), [(1, True), (5, True), (1000, False)])
def test_a_dataset_that_is_set_anew_while_it_is_written_is_read_again_so_many_times(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, is_written: bool
) -> None:
    size = journal.size
    real, left = FoldedFile.update, iter(range(times))

    def update(self: FoldedFile, *arguments: Any, **options: Any) -> None:
        if (number := next(left, None)) is not None:
            journal.put(Record(Kind.SET, f"x{number}", value=1, metadata={}))
            raise ValueSuperseded("it is not there any more")
        real(self, *arguments, **options)

    monkeypatch.setattr(FoldedFile, "update", update)
    with keeping(journal, tmp_path / "r.h5") as kept:
        with contextlib.nullcontext() if is_written else pytest.raises(ValueSuperseded):
            kept.bring_up_to(size)
        assert shown(kept) == is_written
    if is_written:
        with results.open(tmp_path / "r.h5") as run:
            assert list(run.keys()) == [f"x{number}" for number in range(times)]

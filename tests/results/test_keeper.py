"""The keeper of one file: what it shows and when, and what it makes of a journal that is gone or has an end."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec import results
from rexec.results import verify
from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
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
    keeper = Keeper(JournalReader(journal.path), path, **options)
    with contextlib.closing(keeper):
        yield keeper


def shown(keeper: Keeper) -> bool:
    return keeper.shown


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
    with keeping(journal, path, replaces=True) as keeper:
        for _ in range(2):
            keeper.bring_up_to(journal.size)
            assert not shown(keeper)
            assert path.read_text() == "of another run"
        put(journal)
        keeper.bring_up_to(journal.size)
        assert shown(keeper)
        assert verify(path) == []


def test_a_new_file_is_shown_before_there_are_data(journal: Journal, tmp_path: Path) -> None:
    with keeping(journal, tmp_path / "r.h5") as keeper:
        assert not shown(keeper)
        keeper.bring_up_to(journal.size)
        assert shown(keeper)
        with h5py.File(keeper.path) as file:
            assert file["rid"][()] == 5


def test_only_so_much_of_the_journal_is_in_the_file_as_was_asked_for(
    journal: Journal, tmp_path: Path
) -> None:
    size = journal.size
    put_data(journal)
    with keeping(journal, tmp_path / "r.h5") as keeper:
        keeper.bring_up_to(size)
        with h5py.File(keeper.path) as file:
            assert list(file["datasets"]) == []
        keeper.bring_up_to(journal.size)
        with h5py.File(keeper.path) as file:
            assert list(file["datasets"]) == ["x"]
    assert list(state_of(journal.path, size).datasets) == []
    assert list(state_of(journal.path, journal.size).datasets) == ["x"]


def test_a_journal_that_is_gone_is_missed_only_if_something_of_it_is(
    journal: Journal, tmp_path: Path
) -> None:
    put_data(journal)
    with keeping(journal, tmp_path / "r.h5") as keeper:
        keeper.read(journal.size)
        journal.path.rename(tmp_path / "elsewhere")
        keeper.read(journal.size)
        keeper.read(journal.size - 1)
        keeper.read()
        with pytest.raises(JournalDamaged, match="j is gone: No such file"):
            keeper.read(journal.size + 1)
        (tmp_path / "elsewhere").rename(journal.path)
        put_end(journal)
        keeper.finish(journal.size, END)
    assert verify(tmp_path / "r.h5") == []


@pytest.mark.parametrize(("put", "status"), [(put_data, "recovered"), (put_end, "completed")])
def test_how_a_run_ended_is_what_its_journal_says_if_it_says_so(
    journal: Journal, tmp_path: Path, put: Callable[[Journal], None], status: str
) -> None:
    put(journal)
    with keeping(journal, tmp_path / "r.h5") as keeper:
        keeper.finish(None, dict(END))
    with results.open(tmp_path / "r.h5") as run:
        assert (run.status, run.error) == (status, "killed" if status == "recovered" else None)


def test_a_file_that_cannot_be_written_is_named_with_the_reason(journal: Journal, tmp_path: Path) -> None:
    put_data(journal)
    (tmp_path / "r.h5").mkdir()
    with keeping(journal, tmp_path / "r.h5") as keeper:
        with pytest.raises(ResultsError, match=r"cannot write .*r\.h5: "):
            keeper.bring_up_to(journal.size)
        assert not shown(keeper)
        (tmp_path / "r.h5").rmdir()
        keeper.bring_up_to(journal.size)
        assert shown(keeper)
    assert verify(tmp_path / "r.h5") == []

"""A number is appended in journal and memory, or in neither."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.SET, "x", value=[], metadata={}, archive=True))
        yield journal


def appended(journal: Journal) -> list[Record]:
    with JournalReader(journal.path) as reader:
        found = [record for record in reader.records() if record.kind is Kind.APPEND]
        assert reader.damage is None
    return found


def test_numbers_are_in_memory_and_journal_with_their_time(journal: Journal) -> None:
    items: list[Any] = []
    appender = journal.appender("x", items)
    for value in (1, 2.5, -3):
        assert appender.append(value) is True
    found = appended(journal)
    assert items == [record.value for record in found] == [1, 2.5, -3]
    (begun,) = (record.time for record in JournalReader(journal.path).records() if record.kind is Kind.SET)
    assert all(begun - 1 <= record.time <= begun + 150 for record in found)


@pytest.mark.parametrize("value", ["text", [1], 2**70])
def test_what_needs_a_long_record_is_left_to_another(journal: Journal, value: Any) -> None:
    items: list[Any] = []
    assert journal.appender("x", items).append(value) is False
    assert (items, appended(journal)) == ([], [])


def test_one_that_was_stopped_takes_nothing(journal: Journal) -> None:
    items: list[Any] = []
    appender = journal.appender("x", items)
    appender.stop()
    assert appender.append(1) is False
    assert (items, appended(journal)) == ([], [])


class Fails(list[Any]):
    """A list at which a signal strikes."""

    def append(self, value: Any) -> None:
        raise KeyboardInterrupt


def test_a_signal_after_the_number_was_kept_leaves_it_in_both(journal: Journal) -> None:
    items = Fails([0])
    with pytest.raises(KeyboardInterrupt):
        journal.appender("x", items).append(1)
    assert items == [0, 1]
    assert [record.value for record in appended(journal)] == [1]


def test_a_number_that_is_refused_is_in_neither(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> None:
        raise OSError("the disk is full")

    items: list[Any] = [0]
    monkeypatch.setattr(journal.file, "write_small", refuse)
    with pytest.raises(OSError, match="the disk is full"):
        journal.appender("x", items).append(1)
    assert (items, appended(journal)) == ([0], [])

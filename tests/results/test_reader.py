"""The reading end of a journal: where records stop and why, again from the first one, and what no run has written."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devicedb.opening import open_to_read
from rexec.results._files import pread
from rexec.results.errors import JournalDamaged
from rexec.results.journal import reader
from rexec.results.journal._superseded import content_crc, placed_parts
from rexec.results.journal.reader import HeaderDamaged, JournalReader
from rexec.results.journal.records import (
    HEADER,
    SHORT_SIZE,
    Kind,
    Record,
    change_parts,
    frame,
    header,
)
from rexec.results.journal.writer import Journal
from tests.results.journal_bytes import NAME, SET, SHORT, joined


def written(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join((header(b"i" * 16), *parts)))
    return path


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("tail", "why", "torn"),
    [
        (b"", None, False),
        (SET, None, False),
        (SHORT, None, False),
        *((SET[:count], f"is cut off after {count} bytes", True) for count in (1, 8)),
        *(
            (SET[:count], f"is cut off after {count} of {len(SET)} bytes", True)
            for count in (9, 10, len(SET) - 1)
        ),
        *((SHORT[:count], f"is cut off after {count} bytes", True) for count in (1, 8)),
        *((SHORT[:count], f"is cut off after {count} of {SHORT_SIZE} bytes", True) for count in (9, 18)),
        (bytes(9), "is zeros", True),
        (bytes(5000), "is zeros", True),
        (bytes(5000) + b"\1", "has a damaged length", False),
        (b"\0" + bytes(range(1, 9)), "has a damaged length", False),
        (b"\0" + bytes(range(1, 61)), "has a damaged length", False),
        (b"\x77", "has a damaged length", False),
        (b"\x77" * 40, "has a damaged length", False),
        (flipped(SET, 12), "has a wrong checksum", False),
        (flipped(SET, len(SET) - 1), "has a wrong checksum", False),
        (flipped(SHORT, 7), "has a wrong checksum", False),
        (flipped(SET, 2) + SET, "has a damaged length", False),
    ],
)
def test_where_records_stop_and_why(tmp_path: Path, tail: bytes, why: str | None, torn: bool) -> None:
    path = written(tmp_path / "j", NAME, SET, tail)
    with JournalReader(path) as found:
        for _ in range(2):
            kinds = [record.kind for record in found.records()]
            start = HEADER.size + len(NAME) + len(SET)
            is_whole = why is None
            assert found.offset == start + (len(tail) if is_whole else 0)
            assert found.remaining() == (0 if is_whole else len(tail))
            assert found.damage == (None if is_whole else f"the record at byte {start} of {path} {why}")
            assert found.torn == torn
            expected = (
                [Kind.SET] * 2 if tail == SET else [Kind.SET, Kind.APPEND] if tail == SHORT else [Kind.SET]
            )
            assert kinds == expected
            found.rewind()
        assert found.count() == len(expected)
        # What is written later is read, and damage is said of where it is.
        with path.open("r+b") as file:
            file.truncate(start)
        found.rewind()
        assert (len(list(found.records())), found.damage, found.torn) == (1, None, False)


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", JournalDamaged, "is no journal of a run: it begins with b''"),
        (header(b"i" * 16)[:-1], JournalDamaged, "is no journal of a run: it begins with b'RXJRNL"),
        (b"R" * 40, JournalDamaged, "is no journal of a run: it begins with b'RRRRRRRR'"),
        (flipped(header(b"i" * 16), 15), HeaderDamaged, "their checksum is wrong"),
        (flipped(header(b"i" * 16), HEADER.size - 1), HeaderDamaged, "their checksum is wrong"),
    ],
)
def test_what_is_no_journal_is_told_and_left_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, kind: type[JournalDamaged], said: str
) -> None:
    (tmp_path / "j").write_bytes(data)
    opened: list[int] = []

    def noted(path: Path) -> int:
        opened.append(open_to_read(path))
        return opened[0]

    monkeypatch.setattr(reader, "open_to_read", noted)
    with pytest.raises(JournalDamaged) as caught:
        JournalReader(tmp_path / "j")
    assert type(caught.value) is kind
    assert said in str(caught.value)
    is_closed(opened[0])


def is_closed(descriptor: int) -> None:
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid handle|handle is invalid"):
        os.fstat(descriptor)


def test_records_have_their_numbers_also_the_second_time(tmp_path: Path) -> None:
    path = written(tmp_path / "j", SHORT, NAME, SET, SHORT, SET)  # of the first one nobody knows the name
    with JournalReader(path) as found:
        once = list(found.records())
        assert [(each.kind.name, each.number) for each in once] == [
            ("UNREADABLE", 1),
            ("SET", 2),
            ("APPEND", 3),
            ("SET", 4),
        ]
        assert [each.time for each in once] == [0.0, 5.0, pytest.approx(6.0), 5.0]
        found.rewind()
        assert list(found.records()) == once
        assert list(found.records()) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_only_so_many_bytes_are_read_as_were_asked_for(tmp_path: Path, count: int) -> None:
    path = written(tmp_path / "j", NAME, SET, SHORT, SET)
    sizes = [HEADER.size + len(NAME)]
    for part in (SET, SHORT, SET):
        sizes.append(sizes[-1] + len(part))
    with JournalReader(path) as found:
        assert len(list(found.records(sizes[count]))) == count
        assert (found.offset, found.damage) == (sizes[count], None)


def test_a_system_that_reads_a_few_bytes_at_a_time_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "j", NAME, SET, SHORT)
    with JournalReader(path) as found:
        once = list(found.records())
    monkeypatch.setattr(
        reader, "pread", lambda descriptor, count, start: pread(descriptor, min(count, 3), start)
    )
    with JournalReader(path) as found:
        assert list(found.records()) == once


def test_a_journal_that_was_written_anew_is_read_on_and_another_one_is_not(tmp_path: Path) -> None:
    path = written(tmp_path / "j", NAME, SET)
    with JournalReader(path) as found:
        assert len(list(found.records())) == 1
        before = found.descriptor
        if os.name != "nt":
            path.unlink()
        written(path, NAME, SET, SHORT)
        found.reopen()
        if found.descriptor != before:
            is_closed(before)
        assert [each.key for each in found.records()] == ["x"]
        (tmp_path / "k").write_bytes(header(b"k" * 16))
        if os.name != "nt":  # where no open file is replaced
            (tmp_path / "k").replace(path)
            with pytest.raises(JournalDamaged, match=r"j is the journal of another run now"):
                found.reopen()
            os.fstat(found.descriptor)


@pytest.mark.parametrize("extra", [0, 1])
def test_contents_that_several_records_share_are_not_read_without_end(tmp_path: Path, extra: int) -> None:
    content = bytes([Kind.SET]) + b"".join(
        map(bytes, change_parts(Record(Kind.SET, "x", 5.0, b"c" * 950, {}), 0))
    )
    parts = change_parts(Record(Kind.SET, "x", 5.0, b"c" * 950, {}), 0)
    start = HEADER.size + len(NAME) + len(frame(Kind.NOTE, [])[0])
    placed = joined(
        Kind.PLACED, placed_parts(Kind.SET, parts, [(start, len(content))], content_crc(Kind.SET, parts))
    )
    count = 20
    size = start + len(content) + 4 + count * len(placed)
    # So long that two times the size is a whole number of contents, or just less.
    padding = -size % len(content) - extra
    note = joined(Kind.NOTE, [content, bytes(padding)])
    path = written(tmp_path / "j", NAME, note, placed * count)
    assert 2 * path.stat().st_size % len(content) == (-2 * extra) % len(content)
    most = 2 * path.stat().st_size // len(content)
    assert 0 < most < count
    with JournalReader(path) as found:
        kinds = [record.kind for record in found.records()]
        assert kinds[1:] == [Kind.SET] * most + [Kind.LOST] * (count - most)
        with path.open("ab") as file:
            file.write(placed)
        # A file that has grown may be read as much again.
        assert [record.kind for record in found.records()] == [Kind.SET]


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_large_superseded_record_is_passed_over_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    with contextlib.closing(Journal(tmp_path / "j", sync_interval=0)) as journal:
        journal.put(Record(Kind.SET, "y", 4.0, "before", {}))
        start = journal.size + len(NAME)
        journal.put(Record(Kind.SET, "x", 5.0, "x" * 5000, {}))
        length = journal.size - start
        journal.put(Record(Kind.SET, "x", 6.0, "", {}))
    monkeypatch.setattr(reader, "_BLOCK", 64)
    monkeypatch.setattr(reader, "_SKIP_FROM", length + beyond)
    most = 0

    def noted(descriptor: int, count: int, start: int) -> bytes:
        nonlocal most
        most = max(most, count)
        return pread(descriptor, count, start)

    monkeypatch.setattr(reader, "pread", noted)
    with JournalReader(tmp_path / "j") as found:
        assert [(each.kind, each.key, each.time, each.value) for each in found.records()] == [
            (Kind.SET, "y", 4.0, "before"),
            (Kind.SUPERSEDED, "x", 5.0, "superseded"),
            (Kind.SET, "x", 6.0, ""),
        ]
        assert (found.damage, found.remaining()) == (None, 0)
    assert most == (length if beyond else 64)


def test_the_first_file_of_a_process_is_closed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = JournalReader(written(tmp_path / "j"))
    os.close(found.descriptor)
    found._descriptor = 0
    closed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed.append)
        for _ in range(2):
            found.close()
    assert (closed, found.descriptor) == ([0], -1)


@pytest.mark.parametrize(("keeps_from", "is_kept"), [(None, False), (800, True), (801, False)])
def test_large_arrays_are_left_in_the_journal_where_that_is_asked_for(
    tmp_path: Path, keeps_from: int | None, is_kept: bool
) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.append("x", 1)
    for number in range(2):
        journal.append("x", np.full(100, float(number)))
    journal.close()
    with JournalReader(tmp_path / "j") as found:
        found.keeps_from = keeps_from
        _, *values = (record.value for record in found.records())
        load: Callable[[Any], Any] = (lambda value: value.load()) if is_kept else (lambda value: value)
        assert [load(value).tolist() for value in values] == [[0.0] * 100, [1.0] * 100]
        assert all(hasattr(value, "load") == is_kept for value in values)

"""What is behind a damaged place of a journal is found at any offset, and nothing else is taken for it."""

import zlib
from pathlib import Path

import pytest

from rexec.results.journal import salvage
from rexec.results.journal._superseded import mark_of, mark_place
from rexec.results.journal.records import (
    HEADER,
    LONG,
    OVERHEAD,
    Kind,
    Record,
    change_parts,
    header,
    sealed,
)
from rexec.results.journal.salvage import SalvageReader
from tests.results.journal_bytes import NAME, SET, SHORT, a_set, joined

JUNK = b"\x77"


def read(path: Path, *parts: bytes, begin: bytes = header(b"i" * 16)) -> list[tuple[str, str, float, str]]:
    """Return kind, name, time, and what is said of each record that is found."""
    path.write_bytes(b"".join((begin, *parts)))
    with SalvageReader(path) as found:
        assert found.identifier == begin[12:28].ljust(16, b"\0")
        records = list(found.records())
        assert found.offset == path.stat().st_size
        assert list(found.records()) == []
    assert [each.number for each in records] == list(range(1, len(records) + 1))
    return [
        (each.kind.name, each.key, each.time, each.value if each.kind is Kind.UNREADABLE else "")
        for each in records
    ]


def gap(path: Path, count: int, start: int, why: str = "has a damaged length") -> tuple[str, str, float, str]:
    said = f"{count} bytes of the journal cannot be read: the record at byte {start} of {path} {why}"
    return ("UNREADABLE", "", 0.0, said)


START = HEADER.size + len(NAME) + len(SET)
ONE = ("SET", "x", 5.0, "")


@pytest.mark.parametrize("count", [*range(1, 18), 100])
@pytest.mark.parametrize("behind", [SET, SHORT])
def test_a_record_is_found_at_any_offset(tmp_path: Path, count: int, behind: bytes) -> None:
    path = tmp_path / "j"
    after = ONE if behind is SET else ("APPEND", "x", 0.0, "")  # behind the gap no time is known
    assert read(path, NAME, SET, JUNK * count, behind, SET) == [ONE, gap(path, count, START), after, ONE]
    assert read(path, NAME, SET, JUNK * count, behind) == [ONE, gap(path, count, START), after]


@pytest.mark.parametrize("block", [1, 20, 64, 100])
def test_records_are_looked_for_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(salvage, "_BLOCK", block)
    path, large = tmp_path / "j", a_set(b"y" * 300)
    assert read(path, NAME, SET, JUNK * 90, SHORT, large, JUNK * 33, SET) == [
        ONE,
        gap(path, 90, START),
        ("APPEND", "x", 0.0, ""),
        ONE,
        gap(path, 33, START + 90 + len(SHORT) + len(large)),
        ONE,
    ]


@pytest.mark.parametrize("length", [1, 2**16 - 1, 2**16, 2**17, 2**32 - 1, 2**32, 2**33 + 1, 2**47])
def test_a_length_of_any_size_is_seen_by_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    data = header(b"i" * 16) + JUNK * 3 + LONG + sealed(length).to_bytes(8, "little")
    (tmp_path / "j").write_bytes(data)
    monkeypatch.setattr(salvage, "_BLOCK", 2**48)
    place = HEADER.size + 3
    found = SalvageReader(tmp_path / "j")
    with found:
        monkeypatch.setattr(found, "_pread", lambda count, start: data[start : start + count])
        assert list(found._candidates(HEADER.size, place + length)) == [(place, OVERHEAD + 1 + length)]
        assert list(found._candidates(HEADER.size, place + length - 1)) == []


@pytest.mark.parametrize(
    "lie",
    [
        SET[:9],  # a length that fits, and nothing of the rest
        SET[:9] + bytes([Kind.SET]) + bytes(len(SET) - 10),  # another content
        SET[:-1] + b"\x77",  # another checksum
        SET[:9] + b"\x77" + SET[10:],  # no kind that there is
        SHORT[:-1] + b"\x77",
        SHORT[:10],
        b"\0" + SHORT[1:],
    ],
)
def test_what_only_looks_like_a_record_is_none(tmp_path: Path, lie: bytes) -> None:
    path = tmp_path / "j"
    assert read(path, NAME, SET, JUNK, lie, JUNK, SET) == [ONE, gap(path, len(lie) + 2, START), ONE]


@pytest.mark.parametrize("kind", [Kind.UNREADABLE, Kind.SUPERSEDED, Kind.LOST])
def test_no_record_is_written_as_what_it_is_read_as(tmp_path: Path, kind: Kind) -> None:
    path, lie = tmp_path / "j", joined(kind, change_parts(Record(Kind.SET, "x", 5.0, [], {}), 0))
    assert read(path, NAME, SET, JUNK, lie, SET) == [ONE, gap(path, len(lie) + 1, START), ONE]


def test_a_record_that_was_superseded_is_one(tmp_path: Path) -> None:
    path, place = tmp_path / "j", START + 1
    lost = bytearray(a_set(b"y" * 100))
    at = mark_place(place) - place
    lost[at : at + 8] = mark_of(bytes(lost[:23]))
    assert read(path, NAME, SET, JUNK, bytes(lost), SET) == [
        ONE,
        gap(path, 1, START),
        ("SUPERSEDED", "x", 5.0, ""),
        ONE,
    ]


def test_a_lost_name_says_so(tmp_path: Path) -> None:
    path = tmp_path / "j"
    assert read(path, JUNK * 3, SET) == [gap(path, 3, HEADER.size), ("SET", "lost name 0", 5.0, "")]


@pytest.mark.parametrize("tail", [b"", SET[:20], JUNK * 7, bytes(30)])
def test_the_end_is_the_end(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "j"
    why = {20: f"is cut off after 20 of {len(SET)} bytes", 30: "is zeros"}.get(
        len(tail), "has a damaged length"
    )
    assert read(path, NAME, SET, tail) == [ONE, *([gap(path, len(tail), START, why)] if tail else [])]


def plain(record: bytes) -> bytes:
    """Return a long record as version 1 had it: without its marker, and a checksum without it."""
    return record[1:-4] + zlib.crc32(record[1:-4]).to_bytes(4, "little")


ODD = b"?" * HEADER.size


@pytest.mark.parametrize(
    ("begin", "is_plain"),
    [
        (header(b"i" * 16), False),
        (header(b"i" * 16), True),
        (ODD, False),
        (ODD, True),
        (ODD[:8] + b"\1" + ODD[9:], False),
        (ODD[:8] + b"\1" + ODD[9:], True),
    ],
)
def test_how_the_first_record_begins_tells_the_version(tmp_path: Path, begin: bytes, is_plain: bool) -> None:
    path = tmp_path / "j"
    name, one = (plain(NAME), plain(SET)) if is_plain else (NAME, SET)
    start = HEADER.size + len(name) + len(one)
    assert read(path, name, one, JUNK * 5, one, begin=begin) == [ONE, gap(path, 5, start), ONE]


@pytest.mark.parametrize(("version", "found"), [(1, True), (2, False)])
def test_where_the_first_record_is_damaged_the_header_tells_the_version(
    tmp_path: Path, version: int, found: bool
) -> None:
    path = tmp_path / "j"
    begin = header(b"i" * 16)[:8] + bytes([version]) + header(b"i" * 16)[9:]
    junk = bytes(range(1, 13))
    records = read(path, junk, plain(NAME), plain(SET), begin=begin)
    assert (("SET", "x", 5.0, "") in records) == found
    records = read(path, junk, NAME, SET, begin=begin)
    assert (("SET", "x", 5.0, "") in records) == (not found)


@pytest.mark.parametrize("size", [0, 8, 20, HEADER.size - 1])
def test_of_less_than_a_header_nothing_is_read(tmp_path: Path, size: int) -> None:
    (tmp_path / "j").write_bytes(header(b"i" * 16)[:size])
    with SalvageReader(tmp_path / "j") as found:
        assert list(found.records()) == []
        assert found.identifier == header(b"i" * 16)[12 : min(size, 28)].ljust(16, b"\0")


class Effort:
    """Allows so many bytes for any file."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __mul__(self, _: int) -> int:
        return self.most


@pytest.mark.parametrize(("missing", "is_found"), [(0, True), (1, False), (20 * len(SET), False)])
def test_so_much_is_tried_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int, is_found: bool
) -> None:
    """Lengths that fit, one behind the other, would have a file read as often as it has bytes."""
    lie = SET[:9] + bytes([Kind.SET])
    monkeypatch.setattr(salvage, "_EFFORT", Effort(21 * len(SET) - missing))
    found = read(tmp_path / "j", NAME, SET, JUNK, lie * 20, SET)
    assert found == [
        ONE,
        gap(tmp_path / "j", 1 + 20 * len(lie) + (0 if is_found else len(SET)), START),
        *([ONE] if is_found else []),
    ]

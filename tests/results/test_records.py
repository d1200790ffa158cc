"""The bytes of records, as docs/explanation/journal.md says them: those of one release are those of all others."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest

from rexec.results.journal._encode import encode
from rexec.results.journal.records import (
    HEADER,
    READ_ONLY_KINDS,
    Kind,
    Record,
    change_parts,
    frame,
    header,
    is_time,
    key_parts,
    parse,
    parse_short,
    sealed,
    short_append,
    unsealed,
)


def with_crc(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def body_of(kind: int, number: int = 3, time: float = 5.0, flags: int = 8, *rest: bytes) -> bytes:
    return bytes([kind]) + struct.pack("<IdB", number, time, flags) + b"".join(rest)


def test_a_journal_begins_with_its_version_and_identifier() -> None:
    data = header(bytes(range(16)))
    assert data == with_crc(b"RXJRNL\r\n" + b"\2\0" + b"\0\0" + bytes(range(16)))
    assert len(data) == HEADER.size == 32


def test_the_kinds_have_their_numbers() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        "UNREADABLE": 0,
        "IDENTITY": 1,
        "KEY": 2,
        "SET": 3,
        "APPEND": 4,
        "MUTATE": 5,
        "DELETE": 6,
        "ARCHIVE": 7,
        "NOTE": 8,
        "END": 9,
        "PLACED": 10,
        "SUPERSEDED": 11,
        "LOST": 12,
    }


@pytest.mark.parametrize(
    ("length", "word"),
    [
        (1, 0x0001_0000_0000_0001),
        (0x123456789ABC, 0xDEF0_1234_5678_9ABC),
        (0xFFFF_0000_0001, 0xFFFE_FFFF_0000_0001),
        (0x1_0000, 0x0001_0000_0001_0000),
    ],
)
def test_a_length_has_its_check_beside_it(length: int, word: int) -> None:
    assert sealed(length) == word
    assert unsealed(word) == length
    for bit in range(64):
        assert unsealed(word ^ 1 << bit) is None
    assert unsealed(0) is None


@pytest.mark.parametrize(
    ("value", "layout", "marker"),
    [
        (2.5, "<BHId", 0xF5),
        (-7, "<BHIq", 0xF6),
        (np.float64(2.5), "<BHId", 0xF9),
        (np.int64(-7), "<BHIq", 0xFA),
        (2**63 - 1, "<BHIq", 0xF6),
    ],
)
def test_a_short_record_is_a_number_that_was_appended(value: Any, layout: str, marker: int) -> None:
    data = short_append(513, 1.25, value)
    assert data == with_crc(struct.pack(layout, marker, 513, 1_250_000, value))
    assert len(data) == 19
    found = parse_short(memoryview(data)[:-4], {513: "x"}, 100.0, 4)
    assert found == Record(Kind.APPEND, "x", 101.25, value, archive=False, number=4)
    assert type(found.value) is type(value)
    unknown = parse_short(memoryview(data)[:-4], {}, 0.0)
    said = "record 0 (APPEND) cannot be read: no record before it defines name 513"
    assert unknown == Record(Kind.UNREADABLE, "", 0.0, said, index=Kind.APPEND, archive=False)


@pytest.mark.parametrize(
    ("number", "elapsed", "value", "is_short"),
    [
        (0, 0.0, 0.5, True),
        (65535, 0.0, 0.5, True),
        (65536, 0.0, 0.5, False),
        (0, 4294.9, 0.5, True),
        (0, 4295.0, 0.5, False),
        (0, -0.1, 0.5, False),
        (0, float("inf"), 0.5, False),
        (0, -float("inf"), 0.5, False),
        (0, 0.0, 2**63, False),
        (0, 0.0, True, False),
        (0, 0.0, np.float32(0.5), False),
        (0, 0.0, "a", False),
    ],
)
def test_what_a_short_record_cannot_say_is_a_long_one(
    number: int, elapsed: float, value: Any, is_short: bool
) -> None:
    assert (short_append(number, elapsed, value) is not None) == is_short


def test_a_long_record_has_length_kind_body_and_checksum() -> None:
    data = b"".join(map(bytes, frame(Kind.NOTE, [b"ab", b"", b"cde"])))
    assert data == with_crc(b"\0" + struct.pack("<Q", sealed(6)) + b"\x08" + b"abcde")


@pytest.mark.parametrize(
    ("name", "data"),
    [("x", b"x"), ("é/\ud800", b"\xc3\xa9/\xed\xa0\x80"), ("", b"")],
    ids=["x", "odd", "none"],
)
def test_a_name_has_a_number(name: str, data: bytes) -> None:
    parts = b"".join(map(bytes, key_parts(258, name)))
    assert parts == b"\2\1\0\0" + data
    names: dict[int, str] = {}
    assert parse(memoryview(b"\2" + parts), names) == Record(Kind.KEY, name)
    assert names == {258: name}


def test_a_name_that_is_no_text_is_told_apart() -> None:
    names: dict[int, str] = {}
    parse(memoryview(b"\2\1\0\0\0a\xff"), names)
    assert names == {1: "a\\xff"}


V = {"unit": "V"}


@pytest.mark.parametrize(
    ("record", "flags", "rest"),
    [
        (Record(Kind.SET, "x", value=1, metadata=V), 8, [V, 1]),
        (Record(Kind.SET, "x", value=1, metadata=V, archive=False), 0, [V, 1]),
        (Record(Kind.SET, "x", value=1, metadata=V, origin="client"), 9, [V, 1]),
        (Record(Kind.SET, "x", value=1, metadata=V, broadcast=True), 10, [V, 1]),
        (Record(Kind.SET, "x", value=1, metadata=V, persist=True), 12, [V, 1]),
        (Record(Kind.ARCHIVE, "x", value=1, metadata=V), 8, [V, 1]),
        (Record(Kind.APPEND, "x", value="a", archive=False), 0, ["a"]),
        (Record(Kind.MUTATE, "x", value=1, index=(2, 3)), 8, [(2, 3), 1]),
        (Record(Kind.DELETE, "x"), 8, []),
        (Record(Kind.NOTE, "x", value=[1]), 8, [[1]]),
        (Record(Kind.IDENTITY, "x", value={"rid": 1}), 8, [{"rid": 1}]),
        (Record(Kind.END, "x", value={"status": "a"}), 8, [{"status": "a"}]),
    ],
)
def test_a_change_says_which_kind_of_which_dataset_when_and_how(
    record: Record, flags: int, rest: list[Any]
) -> None:
    record = record._replace(time=5.0, number=9)
    body = bytes([record.kind]) + b"".join(map(bytes, change_parts(record, 3)))
    assert body == body_of(record.kind, 3, 5.0, flags, *map(encode, rest))
    assert parse(memoryview(body), {3: "x"}, 9) == record


@pytest.mark.parametrize(
    ("body", "key", "time", "archive", "index", "said"),
    [
        (
            body_of(3, 4, 5.0, 8),
            "",
            5.0,
            True,
            Kind.SET,
            "(SET) cannot be read: no record before it defines name 4",
        ),
        (body_of(3, 4, 5.0, 7), "", 5.0, False, Kind.SET, "(SET) cannot be read: no record before it"),
        (
            body_of(6, 3, 5.0, 8, b"ab"),
            "x",
            5.0,
            True,
            Kind.DELETE,
            "(DELETE) cannot be read: it has 2 bytes too many",
        ),
        (body_of(8, 3, 5.0, 8), "x", 5.0, True, Kind.NOTE, "(NOTE) cannot be read: "),
        (body_of(99), "", 0.0, True, None, "(of kind 99) cannot be read: "),
        (b"\3\1", "", 0.0, True, Kind.SET, "(SET) cannot be read: "),
        (body_of(6, 4, -1.0, 8), "", 0.0, True, Kind.DELETE, "(DELETE) cannot be read: "),
        *(
            (body_of(kind), "", 0.0, True, Kind(kind), "cannot be read: no record is written as that")
            for kind in (*READ_ONLY_KINDS, Kind.PLACED)
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_what_is_known_of_it(
    body: bytes, key: str, time: float, archive: bool, index: Kind | None, said: str
) -> None:
    found = parse(memoryview(body), {3: "x"}, 7)
    assert said in found.value
    assert found.value.startswith("record 7 (")
    assert found == Record(Kind.UNREADABLE, key, time, found.value, None, index, archive=archive, number=7)
    assert parse(memoryview(body), {3: "x"}).number == 0


@pytest.mark.parametrize(
    ("time", "is_one"),
    [(-0.5, False), (0.0, True), (0.5, True), (9.9e10, True), (1e11, False), (float("nan"), False)],
)
def test_a_time_is_one_that_a_clock_gives(time: float, is_one: bool) -> None:
    assert is_time(time) is is_one
    found = parse(memoryview(body_of(6, 3, time)), {3: "x"})
    assert found.time == (time if is_one else 0.0)


def test_a_record_without_more_is_of_the_run_and_belongs_into_the_file() -> None:
    assert Record(Kind.SET) == (Kind.SET, "", 0.0, None, None, None, "run", False, False, True, 0)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (Record(Kind.SET, "x", value=nested(5000), metadata={}), "dataset 'x': a list cannot be kept: "),
        (
            Record(Kind.IDENTITY, "", value={"a": nested(5000)}),
            "the identity of the run: a dict cannot be kept: ",
        ),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_name(record: Record, said: str) -> None:
    with pytest.raises(ValueError, match="cannot be kept") as caught:
        change_parts(record, 3)
    assert str(caught.value).startswith(said)

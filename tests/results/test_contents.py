"""Reads of a journal out of its order: superseded records, placed contents, kept arrays."""

import zlib
from typing import Any

import numpy as np
import pytest

from rexec.results.errors import ValueSuperseded
from rexec.results.journal._contents import appended_at, content_of, is_worth_keeping, superseded_at
from rexec.results.journal._superseded import (
    HEAD,
    content_crc,
    mark_of,
    mark_place,
    placed_parts,
    usable,
    without_value,
)
from rexec.results.journal.records import CHANGE, LONG, OVERHEAD, Kind, Record, change_parts, frame, sealed

START = 40
LENGTH = 100


def head(length: int = LENGTH) -> bytes:
    """Return the head of a record of so many bytes."""
    return (LONG + sealed(length - OVERHEAD - len(LONG)).to_bytes(8, "little") + b"\3" * HEAD)[:HEAD]


def journal(begin: bytes, mark: bytes) -> Any:
    """Return what reads a journal with a record whose head and mark are these."""
    data = bytearray(START + LENGTH)
    data[START : START + len(begin)] = begin
    data[mark_place(START) : mark_place(START) + len(mark)] = mark
    return lambda count, offset: bytes(data[offset : offset + count])


@pytest.mark.parametrize(
    ("begin", "size", "smallest", "is_superseded"),
    [
        (head(), START + LENGTH, LENGTH, True),
        (head(), START + LENGTH - 1, LENGTH, False),  # it is not all there
        (head(), START + LENGTH, LENGTH + 1, False),
        (b"\1" + head()[1:], START + LENGTH, 0, False),
    ],
)
def test_a_record_is_superseded_where_its_mark_says_so(
    begin: bytes, size: int, smallest: int, is_superseded: bool
) -> None:
    found = superseded_at(journal(begin, mark_of(begin)), size, START, smallest)
    assert (found is not None) == is_superseded
    assert found is None or (bytes(found[0]), found[1]) == (begin[9:], LENGTH)
    assert superseded_at(journal(begin, b"another"), size, START, smallest) is None


CONTENT = b"the content of a record"
DATA = bytes(3) + CONTENT[:20] + bytes(27) + CONTENT[20:] + bytes(147)


@pytest.mark.parametrize(
    ("pieces", "size", "crc", "found"),
    [
        ([(3, 20), (50, 3)], 53, zlib.crc32(CONTENT), CONTENT),
        ([(3, 20), (50, 3)], 52, zlib.crc32(CONTENT), None),  # a piece reaches beyond the end
        ([(3, 20), (50, 3)], 53, zlib.crc32(CONTENT) + 1, None),
        ([(0, 53)] * 2, 105, 0, None),  # pieces that add up to more than there is
        ([(0, 200)], 200, zlib.crc32(DATA), DATA),
        ([(0, 200), (0, 1)], 200, zlib.crc32(DATA + DATA[:1]), None),
        ([], 53, 0, None),
    ],
)
def test_a_content_is_taken_where_its_checksum_is_right(
    pieces: list[tuple[int, int]], size: int, crc: int, found: bytes | None
) -> None:
    (*parts,) = placed_parts(Kind.SET, [CHANGE.pack(1, 2.0, 0)], pieces, crc)
    body = memoryview(bytes([Kind.PLACED]) + b"".join(parts))
    assert content_of(lambda count, offset: DATA[offset : offset + count], size, body) == found
    assert content_of(lambda *_: b"", size, body[:10]) is None


@pytest.mark.parametrize(
    ("kind", "value", "smallest", "is_kept"),
    [
        (Kind.APPEND, np.zeros(4), 32, True),
        (Kind.APPEND, np.zeros(4), 33, False),
        (Kind.SET, np.zeros(4), 32, False),
        (Kind.APPEND, [0.0] * 4, 0, False),
        (Kind.APPEND, np.zeros(4, "S8"), 32, False),
        *((Kind.APPEND, np.zeros(4, kind), 1, True) for kind in ("?", "i1", "u1", "f2", "c8")),
    ],
)
def test_large_arrays_that_were_appended_are_worth_keeping(
    kind: Kind, value: Any, smallest: int, is_kept: bool
) -> None:
    assert is_worth_keeping(Record(kind, "x", value=value), smallest) == is_kept


@pytest.mark.parametrize("flags", range(16))
@pytest.mark.parametrize("of", [Kind.SET, Kind.ARCHIVE])
def test_of_a_record_without_its_value_the_rest_is_known(flags: int, of: Kind) -> None:
    change = CHANGE.pack(7, 2.5, flags)
    plain = memoryview(bytes([of]) + change)
    placed = memoryview(bytes([Kind.PLACED]) + CHANGE.pack(7, 2.5, flags | of << 4))
    for kind, begin in ((Kind.SUPERSEDED, plain), (Kind.LOST, placed)):
        found = without_value(kind, begin, {7: "x"}, 3)
        assert (found.kind, found.key, found.time, found.index) == (kind, "x", 2.5, of)
        assert (found.archive, found.number) == (flags >= 8, 3)
    assert found.value == f"record 3 ({of.name}) has lost its content"


@pytest.mark.parametrize(
    ("begin", "time"),
    [
        (bytes([Kind.SET]) + CHANGE.pack(8, 2.5, 0), 2.5),  # of no known name
        (b"\xfe" + CHANGE.pack(7, 2.5, 0), 2.5),  # of no known kind
        (bytes([Kind.SET]) + CHANGE.pack(8, 1e300, 0), 0.0),  # nor of a time
        (bytes([Kind.SET]), 0.0),
    ],
)
def test_a_record_without_its_value_may_be_of_nothing_known(begin: bytes, time: float) -> None:
    found = without_value(Kind.LOST, memoryview(begin), {7: "x"}, 3)
    assert (found.kind, found.key, found.time, found.archive) == (Kind.UNREADABLE, "", time, False)
    assert (found.value, found.number) == ("record 3 (lost) is of no known dataset or kind", 3)


@pytest.mark.parametrize(("start", "length"), [(0, 47), (1, 48), (9, 100), (17, 64), (40, 100)])
def test_a_superseded_record_gives_back_what_is_behind_its_mark(start: int, length: int) -> None:
    place = mark_place(start)
    assert place % 8 == 0
    assert start + HEAD <= place < start + HEAD + 8  # it cannot be torn, and leaves the head
    assert usable(start, length) == ((place + 8, start + length - place - 8),)


@pytest.mark.parametrize("number", [0, Kind.APPEND, Kind.PLACED])
def test_an_appended_array_is_read_where_it_is_or_where_it_was_placed(number: int) -> None:
    parts = change_parts(Record(Kind.APPEND, "x", 5.0, np.arange(5)), number)
    content = bytes([Kind.APPEND]) + b"".join(parts)
    whole = b"".join(frame(Kind.APPEND, parts))
    pieces = [(len(whole) + 10, len(content) - 10), (len(whole), 10)]
    placed = frame(Kind.PLACED, placed_parts(Kind.APPEND, parts, pieces, content_crc(Kind.APPEND, parts)))
    data = whole + content[-10:] + content[:-10] + b"".join(placed)
    at = len(whole) + len(content)
    for start in (0, at):
        assert appended_at(
            lambda count, offset: data[offset : offset + count], len(data), start
        ).tolist() == [
            0,
            1,
            2,
            3,
            4,
        ]
    other = data[: at - 1] + b"~" + data[at:]
    with pytest.raises(ValueSuperseded, match=f"record at byte {at} of the journal is not there any more"):
        appended_at(lambda count, offset: other[offset : offset + count], len(other), at)


@pytest.mark.parametrize("size", [0, HEAD, LENGTH])
def test_what_is_no_whole_record_any_more_is_said(size: int) -> None:
    data = head()[:size].ljust(size, b"\0")
    with pytest.raises(ValueSuperseded, match="record at byte 0 of the journal is not there any more"):
        appended_at(lambda count, offset: data[offset : offset + count], size, 0)

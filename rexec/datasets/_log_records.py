"""The records of the log beside a dataset database, and their bytes.

All numbers are little-endian. The header: magic (8 bytes), version (2), 0 (2), generation (8 random bytes), CRC-32 (4).
A record: length of its body (4), CRC-32 of the length (4), body, CRC-32 of the body (4). Both checksums begin with that
of the header, so that no record of an earlier generation is taken for one of this. A body begins with its kind:

    n   number of a name (4), digest of the text in the database (24), name: what follows changes this text
    a   number (4), PYON: appended to the list
    s   number (4), PYON of (index, value): set there
    f   number (4), digest (24): the text that the database has once everything before is folded into it
"""

import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER_SIZE: Final = 24

_BEGIN: Final = struct.pack("<8sHH", b"RXDLOG\r\n", 1, 0)
_DIGEST_SIZE: Final = 24
_WORDS: Final = struct.Struct("<II")
_NUMBER: Final = struct.Struct("<I")
_OVERHEAD: Final = 12
_SECTOR: Final = 512
"""Bytes that a disk writes as one."""


@dataclass(frozen=True)
class LogRecord:
    """A record behind its place: `end` is the offset at which the next one begins.

    The digest is that of the text that is changed; of kind f, of the text that has come of it.
    """

    end: int
    kind: bytes
    name: bytes
    digest: bytes
    change: bytes


class LogNames:
    """Which name and digest a number stands for, in one generation of the log."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, bytes]] = {}
        self._numbers: dict[tuple[bytes, bytes], int] = {}

    def number(self, name: bytes, digest: bytes) -> int | None:
        return self._numbers.get((name, digest))

    def next_number(self) -> int:
        return len(self._known)

    def numbers(self) -> Iterator[tuple[int, bytes]]:
        for number, (name, _) in self._known.items():
            yield number, name

    def know(self, number: int, name: bytes, digest: bytes) -> None:
        self._known[number] = name, digest
        self._numbers[name, digest] = number

    def named(self, number: int) -> tuple[bytes, bytes] | None:
        return self._known.get(number)


def new_header() -> bytes:
    head = _BEGIN + secrets.token_bytes(8)
    return head + _NUMBER.pack(zlib.crc32(head))


def is_header(data: bytes) -> bool:
    """Return whether bytes are a header, or as much of one as was written."""
    if len(data) < HEADER_SIZE:
        return data.startswith(_BEGIN[: len(data)])
    return data.startswith(_BEGIN) and zlib.crc32(data[:-4]).to_bytes(4, "little") == data[-4:]


def name_body(number: int, name: bytes, digest: bytes) -> bytes:
    return b"n" + _NUMBER.pack(number) + digest + name


def body(kind: bytes, number: int, rest: bytes) -> bytes:
    return kind + _NUMBER.pack(number) + rest


def framed(header: bytes, content: bytes) -> bytes:
    """Return the record with this body."""
    seed = int.from_bytes(header[-4:], "little")
    length = _NUMBER.pack(len(content))
    checks = [_NUMBER.pack(zlib.crc32(part, seed)) for part in (length, content)]
    return length + checks[0] + content + checks[1]


def parsed(header: bytes, data: bytes, start: int, names: LogNames) -> Iterator[LogRecord]:
    """Yield the records in the bytes from an offset on; what is torn at the end is none.

    Raises:
        ValueError: They are damaged; the text says where.

    """
    seed, at = int.from_bytes(header[-4:], "little"), 0
    while len(data) - at >= _WORDS.size:
        length, check = _WORDS.unpack_from(data, at)
        damaged = f"is damaged at byte {start + at}"
        if zlib.crc32(data[at : at + 4], seed) != check:
            if _is_unwritten(data[at:], start + at):
                return
            raise ValueError(damaged)
        end = at + length + _OVERHEAD
        if end > len(data):
            return
        content = data[at + _WORDS.size : end - 4]
        if zlib.crc32(content, seed) != _NUMBER.unpack_from(data, end - 4)[0] or len(content) < 5:
            if end == len(data) and _is_unwritten(data[at:], start + at):
                return
            raise ValueError(damaged)
        kind, (number,), rest = content[:1], _NUMBER.unpack_from(content, 1), content[5:]
        if kind == b"n":
            names.know(number, rest[_DIGEST_SIZE:], rest[:_DIGEST_SIZE])
        known = names.named(number)
        if known is None:
            raise ValueError(damaged)
        at = end
        yield LogRecord(start + at, kind, known[0], rest if kind == b"f" else known[1], rest)


def _is_unwritten(data: bytes, offset: int) -> bool:
    """Return whether a sector of some bytes of the file is empty: the power went before they were on the disk.

    A record has no room for an empty sector: its text is PYON.
    """
    at = 0
    while at < len(data):
        stop = at + _SECTOR - (offset + at) % _SECTOR
        if not any(data[at:stop]):
            return True
        at = stop
    return False

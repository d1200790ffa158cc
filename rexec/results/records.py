"""The records of a journal as facts, and their bytes (the layout: docs/explanation/journal.md)."""

import struct
import zlib
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from rexec.results._codec import Buffer, encode_parts
from rexec.results._decode import decode

Origin: TypeAlias = Literal["run", "client"]

MAGIC: Final = b"RXJRNL\r\n"
VERSION: Final = 1
HEADER: Final = struct.Struct("<8sHH16sI")
"""Magic, version, reserved (0), identifier of the journal (16 random bytes), CRC-32 of what is before it."""

_HEAD: Final = struct.Struct("<QB")
_CHANGE: Final = struct.Struct("<IdB")
_CRC: Final = struct.Struct("<I")
_FLOAT_RECORD: Final = struct.Struct("<QBIdBcd")
_INT_RECORD: Final = struct.Struct("<QBIdBcq")


def sealed(length: int) -> int:
    """Return a length with its check in the upper 16 bits, so that a damaged one is not taken for a cut record."""
    return length | ((length ^ length >> 16 ^ length >> 32) & 0xFFFF) << 48


def unsealed(word: int) -> int | None:
    """Return the length, or None where the check is wrong or the length is none of a record."""
    length = word & 0xFFFFFFFFFFFF
    return length if length and sealed(length) == word else None


_SMALL_LENGTH: Final = sealed(_FLOAT_RECORD.size - 8)

OVERHEAD: Final = 12
"""Bytes of a record beside its body: its length before, its CRC-32 behind."""

_CLIENT, _BROADCAST, _PERSIST, _ARCHIVE = 1, 2, 4, 8


class Kind(IntEnum):
    """What a record says."""

    IDENTITY = 1
    KEY = 2
    SET = 3
    APPEND = 4
    MUTATE = 5
    DELETE = 6
    ARCHIVE = 7
    NOTE = 8
    END = 9


class Record(NamedTuple):
    """One record; which fields mean something depends on the kind.

    Attributes:
        kind: What happened.
        key: Name of the dataset, or of the note.
        time: Seconds since the epoch.
        value: What was set, appended, put, read, noted; the fields of the identity; how the run ended.
        metadata: Metadata of the dataset.
        index: Where in the dataset.
        origin: Who did it.
        broadcast: Whether the dataset is shown to a database.
        persist: Whether a database keeps it.
        archive: Whether it belongs into the result file.

    """

    kind: Kind
    key: str = ""
    time: float = 0.0
    value: Any = None
    metadata: Any = None
    index: Any = None
    origin: Origin = "run"
    broadcast: bool = False
    persist: bool = False
    archive: bool = True


def header(identifier: bytes) -> bytes:
    """Return the first bytes of a journal."""
    head = struct.pack("<8sHH16s", MAGIC, VERSION, 0, identifier)
    return head + _CRC.pack(zlib.crc32(head))


def append_bytes(key: int, time: float, client: bool, value: Any) -> bytes | None:
    """Return the whole record of an appended float or int (the fast path), or None for any other value."""
    if type(value) is float:
        data = _FLOAT_RECORD.pack(_SMALL_LENGTH, 4, key, time, client, b"d", value)
    elif type(value) is int and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        data = _INT_RECORD.pack(_SMALL_LENGTH, 4, key, time, client, b"i", value)
    else:
        return None
    return data + _CRC.pack(zlib.crc32(data))


def frame_head(kind: Kind, parts: list[Buffer]) -> bytes:
    """Return what comes before the body of a record: its length and kind."""
    return _HEAD.pack(sealed(sum(map(len, parts)) + 1), kind)


def frame_end(head: bytes, parts: list[Buffer]) -> bytes:
    """Return what comes behind the body of a record: the CRC-32 of all before it."""
    crc = zlib.crc32(head)
    for part in parts:
        crc = zlib.crc32(part, crc)
    return _CRC.pack(crc)


def frame(kind: Kind, parts: list[Buffer]) -> list[Buffer]:
    """Return the record of a kind whose body is `parts`, as parts to be written one after another."""
    head = frame_head(kind, parts)
    return [head, *parts, frame_end(head, parts)]


def key_parts(number: int, key: str) -> list[Buffer]:
    """Return the body of a record that gives a name its number."""
    return [_CRC.pack(number), key.encode("utf-8", "surrogatepass")]


def change_parts(record: Record, number: int) -> list[Buffer]:
    """Return the body of any other record; `number` is that of its key."""
    flags = (
        _CLIENT * (record.origin == "client")
        | _BROADCAST * record.broadcast
        | _PERSIST * record.persist
        | _ARCHIVE * record.archive
    )
    parts: list[Buffer] = [_CHANGE.pack(number, record.time, flags)]
    if record.kind in {Kind.SET, Kind.ARCHIVE}:
        parts += encode_parts(record.metadata)
    if record.kind is Kind.MUTATE:
        parts += encode_parts(record.index)
    if record.kind is not Kind.DELETE:
        parts += encode_parts(record.value)
    return parts


def parse(body: memoryview, keys: dict[int, str]) -> Record:
    """Return the record with this body (kind and what follows); a name's number is entered into `keys`.

    Raises:
        ValueError: It is no record of this version.

    """
    kind = Kind(body[0])
    if kind is Kind.KEY:
        (number,) = _CRC.unpack_from(body, 1)
        keys[number] = name = str(body[5:], "utf-8", "surrogatepass")
        return Record(kind, name)
    number, time, flags = _CHANGE.unpack_from(body, 1)
    try:
        key = keys[number]
    except KeyError:
        raise ValueError(f"a record speaks of name {number}, which no record before it defines") from None
    offset = 1 + _CHANGE.size
    metadata = index = value = None
    if kind in {Kind.SET, Kind.ARCHIVE}:
        metadata, offset = decode(body, offset)
    if kind is Kind.MUTATE:
        index, offset = decode(body, offset)
    if kind is not Kind.DELETE:
        value, offset = decode(body, offset)
    if offset != len(body):
        raise ValueError(f"a record of kind {kind.name} has {len(body) - offset} bytes too many")
    return Record(
        kind,
        key,
        time,
        value,
        metadata,
        index,
        "client" if flags & _CLIENT else "run",
        bool(flags & _BROADCAST),
        bool(flags & _PERSIST),
        bool(flags & _ARCHIVE),
    )

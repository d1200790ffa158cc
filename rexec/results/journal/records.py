"""The records of a journal as facts, and their bytes (the layout: docs/explanation/journal.md)."""

import struct
import zlib
from collections.abc import Mapping, MutableMapping
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from rexec.results.journal._decode import decode
from rexec.results.journal._encode import Buffer, encode_parts

Origin: TypeAlias = Literal["run", "client"]

MAGIC: Final = b"RXJRNL\r\n"
VERSION: Final = 2
VERSIONS: Final = frozenset({1, VERSION})
"""Those that are read. In version 1 records had no marker, and none was short."""
HEADER: Final = struct.Struct("<8sHH16sI")
"""Magic, version, reserved (0), identifier of the journal (16 random bytes), CRC-32 of what is before it."""

_HEAD: Final = struct.Struct("<QB")
CHANGE: Final = struct.Struct("<IdB")
"""What the bodies of most records begin with: number of the name, time, flags."""
_CRC: Final = struct.Struct("<I")

LONG: Final = b"\0"
"""The marker of a record with a length: its first byte."""

SHORT_SIZE: Final = 19
"""Bytes of a short record: marker, number of the name, microseconds since the long record before, value, CRC-32."""

_SHORT: Final = {
    float: (0xF5, struct.Struct("<BHId")),
    int: (0xF6, struct.Struct("<BHIq")),
    np.float64: (0xF9, struct.Struct("<BHId")),
    np.int64: (0xFA, struct.Struct("<BHIq")),
}
"""Marker and layout of a short record by the class of what the run appended; no marker is a byte of UTF-8."""

_PACK_SHORT: Final = {kind: (marker, layout.pack) for kind, (marker, layout) in _SHORT.items()}
_PACK_CRC: Final = _CRC.pack
_OF_MARKER: Final = {marker: (layout, kind) for kind, (marker, layout) in _SHORT.items()}

SHORT_MARKERS: Final = frozenset(_OF_MARKER)
"""First bytes of short records."""


def sealed(length: int) -> int:
    """Return a length with its check in the upper 16 bits, so that a damaged one is not taken for a cut record."""
    return length | ((length ^ length >> 16 ^ length >> 32) & 0xFFFF) << 48


def unsealed(word: int) -> int | None:
    """Return the length, or None where the check is wrong or the length is none of a record."""
    length = word & 0xFFFFFFFFFFFF
    return length if length and sealed(length) == word else None


OVERHEAD: Final = 12
"""Bytes of a long record beside its body and marker: its length before, its CRC-32 behind."""

_CLIENT, _BROADCAST, _PERSIST, _ARCHIVE = 1, 2, 4, 8
_LATEST: Final = 1e11
"""Seconds since the epoch (the year 5138) beyond which a time is none that a clock gave."""


class Kind(IntEnum):
    """What a record says.

    A record whose value cannot be decoded is read as UNREADABLE, one whose value was given back as SUPERSEDED; none is
    written as these. A PLACED record is read as that whose content it places, as LOST where that is not there.
    """

    UNREADABLE = 0
    IDENTITY = 1
    KEY = 2
    SET = 3
    APPEND = 4
    MUTATE = 5
    DELETE = 6
    ARCHIVE = 7
    NOTE = 8
    END = 9
    PLACED = 10
    SUPERSEDED = 11
    LOST = 12


class Record(NamedTuple):
    """One record; which fields mean something depends on the kind.

    Attributes:
        kind: What happened.
        key: Name of the dataset, or of the note.
        time: Seconds since the epoch.
        value: What was set, appended, put, read, noted; the fields of the identity; how the run ended; why it is
            unreadable.
        metadata: Metadata of the dataset.
        index: Where in the dataset; the kind of an unreadable, superseded or lost one, where that is known.
        origin: Who did it.
        broadcast: Whether the dataset is shown to a database.
        persist: Whether a database keeps it.
        archive: Whether it belongs into the result file.
        number: Its place in the journal, from 1 on.

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
    number: int = 0


READ_ONLY_KINDS: Final = frozenset({Kind.UNREADABLE, Kind.SUPERSEDED, Kind.LOST})
"""What records are read as, and never written as."""

_WITH_METADATA: Final = frozenset({Kind.SET, Kind.ARCHIVE})
_OF_ITEMS: Final = frozenset({Kind.APPEND, Kind.MUTATE})


def header(identifier: bytes) -> bytes:
    """Return the first bytes of a journal."""
    head = struct.pack("<8sHH16s", MAGIC, VERSION, 0, identifier)
    return head + _CRC.pack(zlib.crc32(head))


def short_append(number: int, elapsed: float, value: Any) -> bytes | None:
    """Return the short record of a number that the run appended, or None where only a long one can say it.

    Args:
        number: That of the dataset's name.
        elapsed: Seconds since the time of the last long record that has one.
        value: What was appended.

    """
    form = _PACK_SHORT.get(type(value))
    if form is None:
        return None
    marker, pack = form
    try:
        data = pack(marker, number, int(elapsed * 1e6), value)
    except (struct.error, OverflowError):  # one of the numbers needs more bits
        return None
    return data + _PACK_CRC(zlib.crc32(data))


def frame_head(kind: Kind, parts: list[Buffer]) -> bytes:
    """Return what comes before the body of a record: its marker, length and kind."""
    return LONG + _HEAD.pack(sealed(sum(map(len, parts)) + 1), kind)


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
    """Return the body of any other record; `number` is that of its key.

    Raises:
        ValueError: A value in it cannot be kept; the text names the dataset.

    """
    flags = (
        _CLIENT * (record.origin == "client")
        | _BROADCAST * record.broadcast
        | _PERSIST * record.persist
        | _ARCHIVE * record.archive
    )
    parts: list[Buffer] = [CHANGE.pack(number, record.time, flags)]
    depth = int(record.kind in _OF_ITEMS)
    try:
        if record.kind in _WITH_METADATA:
            parts += encode_parts(record.metadata)
        if record.kind is Kind.MUTATE:
            parts += encode_parts(record.index)
        if record.kind is not Kind.DELETE:
            parts += encode_parts(record.value, depth)
    except ValueError as error:
        what = f"dataset {record.key!r}" if record.key else f"the {record.kind.name.lower()} of the run"
        raise ValueError(f"{what}: a {type(record.value).__name__} cannot be kept: {error}") from None
    return parts


def is_time(time: float) -> bool:
    """Return whether seconds since the epoch are a time that a clock may give."""
    return 0 <= time < _LATEST


def parse(body: memoryview, keys: MutableMapping[int, str], number: int = 0) -> Record:
    """Return the long record with this body (kind and what follows); a name's number is entered into `keys`.

    Whatever cannot be decoded gives an UNREADABLE record that says why.

    Args:
        body: The bytes between the length and the checksum of the record.
        keys: Names by their numbers.
        number: Place of the record in the journal.

    """
    kind, key, time, flags = None, "", 0.0, _ARCHIVE
    try:
        kind = Kind(body[0])
        if kind in READ_ONLY_KINDS or kind is Kind.PLACED:
            raise ValueError("no record is written as that")
        if kind is Kind.KEY:
            return _name(body, keys)
        name, time, flags = CHANGE.unpack_from(body, 1)
        time = time if is_time(time) else 0.0
        key = keys[name]
        offset = 1 + CHANGE.size
        metadata = index = value = None
        if kind in _WITH_METADATA:
            metadata, offset = decode(body, offset)
        if kind is Kind.MUTATE:
            index, offset = decode(body, offset)
        if kind is not Kind.DELETE:
            value, offset = decode(body, offset)
        if offset != len(body):
            raise ValueError(f"it has {len(body) - offset} bytes too many")
    except Exception as error:  # whatever a decoder stumbles over costs this record, and no other
        said = f"no record before it defines name {error}" if type(error) is KeyError else str(error)
        what = f"of kind {body[0]}" if kind is None else kind.name
        reason = f"record {number} ({what}) cannot be read: {said:.200}"
        archive = bool(flags & _ARCHIVE)
        return Record(Kind.UNREADABLE, key, time, reason, None, kind, archive=archive, number=number)
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
        number,
    )


def parse_short(body: memoryview, keys: Mapping[int, str], since: float, number: int = 0) -> Record:
    """Return the short record with this body: all of it but the checksum.

    Args:
        body: The bytes.
        keys: Names by their numbers.
        since: Time of the last long record that has one; 0: it is not known, nor is the time of this record.
        number: Place of the record in the journal.

    """
    layout, kind = _OF_MARKER[body[0]]
    _, name, elapsed, value = layout.unpack(body)
    time = since + elapsed * 1e-6 if since else 0.0
    try:
        key = keys[name]
    except KeyError:
        reason = f"record {number} (APPEND) cannot be read: no record before it defines name {name}"
        return Record(Kind.UNREADABLE, "", time, reason, None, Kind.APPEND, archive=False, number=number)
    return Record(Kind.APPEND, key, time, kind(value), archive=False, number=number)


def _name(body: memoryview, keys: MutableMapping[int, str]) -> Record:
    (number,) = _CRC.unpack_from(body, 1)
    data = bytes(body[5:])
    try:
        name = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        name = data.decode("utf-8", "backslashreplace")
    keys[number] = name
    return Record(Kind.KEY, name)

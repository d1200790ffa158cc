"""Records whose values were superseded, and contents of records in the bytes that these have given back.

A superseded record keeps its head: marker, length, kind, number of the name, time, flags. Behind it, at the next offset
that 8 divides, is its mark, which is made of the head; one write of 8 bytes there cannot be torn. What follows up to
the end of the record may hold the contents of others.

A PLACED record has kind and flags of the record whose content it places in one byte, then the content's CRC-32, then
offset and length of each piece of it.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from rexec.results.journal._encode import Buffer
from rexec.results.journal._space import Piece
from rexec.results.journal.records import CHANGE, LONG, OVERHEAD, Kind, Record, is_time, unsealed

HEAD: Final = 23
"""Bytes of a record that stay when it is superseded."""

MARK: Final = 8
MARKED_FROM: Final = 47
"""Bytes of the shortest record that may be superseded: a PLACED one."""

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_PIECE: Final = struct.Struct("<QQ")


def mark_place(start: int) -> int:
    """Return the offset of the mark of a record that begins at an offset."""
    return -(-(start + HEAD) // MARK) * MARK


def mark_of(head: bytes) -> bytes:
    """Return the mark of a record with this head."""
    return blake2b(head, digest_size=MARK, person=b"superseded").digest()


def length_of(head: bytes) -> int | None:
    """Return the bytes of the long record with this head; None if the head is not of one."""
    if len(head) < HEAD or head[:1] != LONG:
        return None
    length = unsealed(_LENGTH.unpack_from(head, 1)[0])
    return None if length is None else length + len(LONG) + OVERHEAD


def usable(start: int, length: int) -> tuple[Piece, ...]:
    """Return what a record gives back when it is superseded."""
    begin = mark_place(start) + MARK
    return ((begin, start + length - begin),)


def placed_parts(kind: Kind, parts: list[Buffer], pieces: Iterable[Piece], crc: int) -> list[Buffer]:
    """Return the body of the record that places the content of another one.

    Args:
        kind: Kind of the other record.
        parts: Its body.
        pieces: Where its content is.
        crc: CRC-32 of the content.

    """
    number, time, flags = CHANGE.unpack(parts[0])
    head = CHANGE.pack(number, time, flags | kind << 4)
    return [head, _CRC.pack(crc), *(_PIECE.pack(*piece) for piece in pieces)]


def content_crc(kind: Kind, parts: list[Buffer]) -> int:
    """Return the CRC-32 of a content: kind and body."""
    crc = zlib.crc32(bytes([kind]))
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def pieces_of(body: memoryview) -> tuple[int, list[Piece]]:
    """Return CRC-32 and pieces of a PLACED record; raise struct.error or ValueError for any other bytes."""
    (crc,) = _CRC.unpack_from(body, 1 + CHANGE.size)
    return crc, list(_PIECE.iter_unpack(body[1 + CHANGE.size + _CRC.size :]))


def without_value(kind: Kind, head: memoryview, keys: Mapping[int, str], number: int) -> Record:
    """Return what is left of a record without its value: which kind of change it was, of which dataset, when.

    Args:
        kind: SUPERSEDED or LOST.
        head: Its kind, and what follows up to the flags, or further.
        keys: Names by their numbers.
        number: Place of the record in the journal.

    """
    time = 0.0
    try:
        name, time, flags = CHANGE.unpack_from(head, 1)
        time = time if is_time(time) else 0.0
        of = Kind(flags >> 4 if head[0] == Kind.PLACED else head[0])
        value = (
            "superseded" if kind is Kind.SUPERSEDED else f"record {number} ({of.name}) has lost its content"
        )
        return Record(kind, keys[name], time, value, None, of, archive=bool(flags & 8), number=number)
    except (KeyError, ValueError, struct.error):
        reason = f"record {number} ({kind.name.lower()}) is of no known dataset or kind"
        return Record(Kind.UNREADABLE, "", time, reason, archive=False, number=number)

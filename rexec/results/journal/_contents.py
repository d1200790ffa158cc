"""Reads from a journal out of its order: contents that were placed, marks of superseded records, kept arrays."""

import struct
import zlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rexec.results.errors import ValueSuperseded
from rexec.results.journal._superseded import HEAD, MARK, length_of, mark_of, mark_place, pieces_of
from rexec.results.journal.records import Kind, Record, parse

Read: TypeAlias = Callable[[int, int], bytes]
"""Returns so many bytes of a journal from an offset on, or those that there are."""


def superseded_at(read: Read, size: int, start: int, smallest: int) -> tuple[memoryview, int] | None:
    """Return what is left of a superseded record, and its length; None: it is not superseded.

    Args:
        read: Reads the journal.
        size: Bytes of it.
        start: Where the record begins.
        smallest: Least length of a record that is looked at.

    """
    head = read(HEAD, start)
    length = length_of(head)
    if length is None or length < smallest or start + length > size:
        return None
    if read(MARK, mark_place(start)) != mark_of(head):
        return None
    return memoryview(head)[9:], length


def content_of(read: Read, size: int, body: memoryview) -> memoryview | None:
    """Return the content that a PLACED record with this body places; None where it is not there."""
    try:
        crc, pieces = pieces_of(body)
    except (struct.error, ValueError):
        return None
    if any(offset + length > size for offset, length in pieces) or sum(length for _, length in pieces) > size:
        return None
    content = b"".join(read(length, offset) for offset, length in pieces)
    return memoryview(content) if content and zlib.crc32(content) == crc else None


def is_worth_keeping(record: Record, smallest: int) -> bool:
    """Return whether a record appends an array of so many bytes or more, of numbers."""
    value = record.value
    return (
        record.kind is Kind.APPEND
        and type(value) is np.ndarray
        and value.nbytes >= smallest
        and value.dtype.kind in "biufc"
    )


def appended_at(read: Read, size: int, start: int) -> Any:
    """Return the array that the record at an offset has appended.

    Raises:
        ValueSuperseded: The dataset was set anew, and the bytes hold something else.

    """
    length = length_of(read(HEAD, start))
    data = memoryview(read(length or 0, start))
    if (
        length is not None
        and len(data) == length
        and zlib.crc32(data[:-4]).to_bytes(4, "little") == data[-4:]
    ):
        found = data[9:-4]
        body = content_of(read, size, found) if found[0] == Kind.PLACED else found
        if body is not None:
            return parse(body, defaultdict(str)).value
    raise ValueSuperseded(f"the value of the record at byte {start} of the journal is not there any more")

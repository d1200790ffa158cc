"""The reading end of a journal: whole records in order, and where and why they stop."""

import os
import struct
import zlib
from collections.abc import Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from devicedb.opening import open_to_read
from rexec.ground.kept import KeptArray
from rexec.results._files import pread
from rexec.results.errors import JournalDamaged
from rexec.results.journal._contents import appended_at, content_of, is_worth_keeping, superseded_at
from rexec.results.journal._superseded import MARKED_FROM, without_value
from rexec.results.journal.records import (
    HEADER,
    MAGIC,
    OVERHEAD,
    SHORT_MARKERS,
    SHORT_SIZE,
    VERSION,
    VERSIONS,
    Kind,
    Record,
    parse,
    parse_short,
    unsealed,
)

_BLOCK: Final = 4 * 2**20
_SHORT, _LONG, _SUPERSEDED, _LOST = range(4)
"""Forms of records."""

_SKIP_FROM: Final = 2**16
"""Least bytes of a record that is checked for a superseding one before it is read."""

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


class HeaderDamaged(JournalDamaged):
    """Raised when a journal's first bytes are damaged: what follows may be readable."""


class JournalReader:
    """Reads a journal that may still grow, and may end anywhere.

    Args:
        path: The journal.

    Raises:
        JournalDamaged: It is no journal, or of a version that this release does not know.
        OSError: It cannot be opened.

    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._descriptor = open_to_read(path)
        self._skip = 1
        """Bytes of the marker of a long record: none in version 1, which has no short ones."""
        try:
            self.identifier: Final = self._read_header(os.read(self._descriptor, HEADER.size))
        except BaseException:
            os.close(self._descriptor)
            raise
        self.offset = HEADER.size
        self.damage: str | None = None
        self.torn = False
        self._keys: MutableMapping[int, str] = {}
        self._since = 0.0
        self._count = 0
        self._seen = self._allowed = 0
        """Bytes of the file when it was looked at last, and those of contents that may be read until it grows."""
        self._start = 0
        """Offset of the record that was read last."""
        self.keeps_from: int | None = None
        """Least bytes of an appended array that is read only when it is needed; None: all are in memory."""

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._descriptor

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def records(self, until: int | None = None) -> Iterator[Record]:
        """Yield the records from `offset` to the last whole one, and move `offset` behind each.

        `damage` says afterwards why they stop before the end of the file, or is None when they do not; `torn` tells
        whether that is only a record that was not written to its end. Called
        again, it goes on with what has been written since.

        Args:
            until: The offset to stop at; None: the end of the file, which may move meanwhile.

        """
        for form, body in self._bodies(until):
            if form is _SHORT:
                record = parse_short(body, self._keys, self._since, self._count + 1)
            elif form is not _LONG:
                kind = Kind.SUPERSEDED if form is _SUPERSEDED else Kind.LOST
                record = without_value(kind, body, self._keys, self._count + 1)
                self._since = record.time
            else:
                record = parse(body, self._keys, self._count + 1)
                if record.kind is Kind.KEY:
                    continue
                self._since = record.time
                if self.keeps_from is not None and is_worth_keeping(record, self.keeps_from):
                    record = record._replace(value=self.kept(record.value, self._start))
            self._count += 1
            yield record

    def kept(self, array: Any, start: int) -> KeptArray:
        """Return what stands for the array that the record at an offset has appended."""
        return KeptArray(array.dtype, array.shape, partial(self._appended_at, start))

    def _appended_at(self, start: int) -> Any:
        return appended_at(self._pread, self._size(), start)

    def count(self, until: int | None = None) -> int:
        """Read on, as `records` does, and return how many records there are."""
        return sum(form is not _LONG or body[0] != Kind.KEY for form, body in self._bodies(until))

    def _bodies(self, until: int | None) -> Iterator[tuple[int, memoryview]]:
        """Yield the form of each record, and its body; of a superseded one only what is left."""
        self.damage, self.torn = None, False
        block, start = b"", self.offset
        while until is None or self.offset < until:
            at = self.offset - start
            end = self._end(block, at)
            if end is None:
                start = self.offset
                gap = self._superseded(start, _SKIP_FROM)
                if gap is not None:
                    self.offset = start + gap[1]
                    block, start = b"", self.offset
                    yield _SUPERSEDED, gap[0]
                    continue
                block, complete = self._block(start)
                if not complete:
                    return
                continue
            (crc,) = _CRC.unpack_from(block, end - 4)
            view = memoryview(block)
            form = _SHORT if self._skip and block[at] else _LONG
            found = view[at + (self._skip + 8 if form is _LONG else 0) : end - 4]
            is_sound = zlib.crc32(view[at : end - 4]) == crc
            body: memoryview | None = found if is_sound else None
            if is_sound and form is _LONG and found[0] == Kind.PLACED:
                body = self._content(found)
            if body is None:
                # It may have been superseded since this block was read.
                gap = self._superseded(self.offset, MARKED_FROM)
                if gap is not None:
                    form, body = _SUPERSEDED, gap[0]
                elif is_sound:
                    form, body = _LOST, found
                else:
                    self._stop_at(self.offset, "has a wrong checksum")
                    return
            self._start, self.offset = self.offset, start + end
            yield form, body

    def _content(self, body: memoryview) -> memoryview | None:
        size = self._size()
        if size > self._seen:
            # Contents of a run's records share no byte; those of an odd journal could be read without end.
            self._seen, self._allowed = size, 2 * size
        return content_of(self._read_content, size, body)

    def _read_content(self, count: int, start: int) -> bytes:
        self._allowed -= count
        return self._pread(count, start) if self._allowed >= 0 else b""

    def _superseded(self, start: int, smallest: int) -> tuple[memoryview, int] | None:
        return superseded_at(self._pread, self._size(), start, smallest) if self._skip else None

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _end(self, block: bytes, at: int) -> int | None:
        """Return where the record at a place of a block ends; None where it is not whole there, or none."""
        if self._skip and at < len(block) and block[at]:
            end = at + SHORT_SIZE
            return end if block[at] in SHORT_MARKERS and end <= len(block) else None
        if len(block) - at < self._skip + OVERHEAD:
            return None
        length = unsealed(_LENGTH.unpack_from(block, at + self._skip)[0])
        end = at + self._skip + OVERHEAD + (length or 0)
        return None if length is None or end > len(block) else end

    def rewind(self) -> None:
        """Go back to the first record."""
        self.offset, self._since, self._count = HEADER.size, 0.0, 0
        self._keys.clear()

    def reopen(self) -> None:
        """Go on at the same offset in the file that has the name now, where it holds the same journal.

        Raises:
            JournalDamaged: It holds another one, or none.
            OSError: It cannot be opened.

        """
        other = JournalReader(self.path)
        if other.identifier != self.identifier:
            other.close()
            raise JournalDamaged(f"{self.path} is the journal of another run now")
        self.close()
        self._descriptor = other._descriptor

    def remaining(self) -> int:
        """Return how many bytes of the file are behind the last whole record."""
        return os.fstat(self._descriptor).st_size - self.offset

    def _read_header(self, data: bytes) -> bytes:
        """Return the identifier of the journal that begins with some bytes."""
        if len(data) < HEADER.size or not data.startswith(MAGIC):
            raise JournalDamaged(f"{self.path} is no journal of a run: it begins with {data[:8]!r}")
        _, version, _, identifier, crc = HEADER.unpack(data)
        if zlib.crc32(data[:-4]) != crc:
            raise HeaderDamaged(f"the first bytes of {self.path} are damaged: their checksum is wrong")
        if version not in VERSIONS:
            raise JournalDamaged(
                f"{self.path} is a journal of version {version}, this release reads up to version {VERSION}; use a "
                "newer one"
            )
        self._skip = int(version > 1)
        return bytes(identifier)

    def _block(self, start: int) -> tuple[bytes, bool]:
        """Return bytes from `start` that hold at least one whole record, and whether there is one."""
        size = os.fstat(self._descriptor).st_size
        head = self._pread(self._skip + 8, start)
        marker = head[0] if self._skip and head else 0
        if not head or (len(head) < self._skip + 8 and (not marker or marker in SHORT_MARKERS)):
            if head:
                self._stop_at(start, f"is cut off after {len(head)} bytes", torn=True)
            return b"", False
        if marker:
            length: int | None = SHORT_SIZE if marker in SHORT_MARKERS else None
        else:
            length = unsealed(_LENGTH.unpack_from(head, self._skip)[0])
            length = None if length is None else length + self._skip + OVERHEAD
        if length is None:
            # A file system may leave zeros where nothing had been written when the power went.
            torn = all(not any(self._pread(_BLOCK, at)) for at in range(start, size, _BLOCK))
            self._stop_at(start, "is zeros" if torn else "has a damaged length", torn=torn)
            return b"", False
        if start + length > size:
            self._stop_at(start, f"is cut off after {size - start} of {length} bytes", torn=True)
            return b"", False
        return self._pread(max(_BLOCK, length), start), True

    def _stop_at(self, start: int, why: str, *, torn: bool = False) -> None:
        self.damage = f"the record at byte {start} of {self.path} {why}"
        self.torn = torn

    def _pread(self, count: int, start: int) -> bytes:
        pieces = []
        while count:
            piece = pread(self._descriptor, count, start)
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

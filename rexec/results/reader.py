"""The reading end of a journal: whole records in order, and where and why they stop."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rexec.results._files import pread
from rexec.results.errors import JournalDamaged
from rexec.results.records import HEADER, MAGIC, OVERHEAD, VERSION, Kind, Record, parse, unsealed

_BLOCK: Final = 4 * 2**20
_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


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
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            self.identifier: Final = _check_header(path, os.read(self._descriptor, HEADER.size))
        except BaseException:
            os.close(self._descriptor)
            raise
        self.offset = HEADER.size
        self.damage: str | None = None
        self.torn = False
        self._keys: dict[int, str] = {}

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def records(self) -> Iterator[Record]:
        """Yield the records from `offset` to the last whole one, and move `offset` behind each.

        `damage` says afterwards why they stop before the end of the file, or is None when they do not; `torn` tells
        whether that is only a record that was not written to its end. Called
        again, it goes on with what has been written since.
        """
        self.damage, self.torn = None, False
        block, start = b"", self.offset
        while True:
            at = self.offset - start
            body = _body(block, at)
            if body is None:
                start = self.offset
                block, complete = self._block(start)
                if not complete:
                    return
                continue
            end = at + len(body) + OVERHEAD
            (crc,) = _CRC.unpack_from(block, end - 4)
            if zlib.crc32(memoryview(block)[at : end - 4]) != crc:
                self._stop_at(self.offset, "has a wrong checksum")
                return
            try:
                record = parse(body, self._keys)
            except (ValueError, struct.error) as error:
                self._stop_at(self.offset, f"cannot be read: {error}")
                return
            self.offset = start + end
            if record.kind is not Kind.KEY:
                yield record

    def remaining(self) -> int:
        """Return how many bytes of the file are behind the last whole record."""
        return os.fstat(self._descriptor).st_size - self.offset

    def _block(self, start: int) -> tuple[bytes, bool]:
        """Return bytes from `start` that hold at least one whole record, and whether there is one."""
        size = os.fstat(self._descriptor).st_size
        head = self._pread(8, start)
        if len(head) < 8:
            if head:
                self._stop_at(start, f"is cut off after {len(head)} bytes", torn=True)
            return b"", False
        length = unsealed(_LENGTH.unpack(head)[0])
        if length is None:
            # A file system may leave zeros where nothing had been written when the power went.
            torn = not any(self._pread(size - start, start))
            self._stop_at(start, "is zeros" if torn else "has a damaged length", torn=torn)
            return b"", False
        if start + length + OVERHEAD > size:
            self._stop_at(start, f"is cut off after {size - start} of {length + OVERHEAD} bytes", torn=True)
            return b"", False
        return self._pread(max(_BLOCK, length + OVERHEAD), start), True

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


def _body(block: bytes, at: int) -> memoryview | None:
    if len(block) - at < OVERHEAD:
        return None
    length = unsealed(_LENGTH.unpack_from(block, at)[0])
    if length is None or at + length + OVERHEAD > len(block):
        return None
    return memoryview(block)[at + 8 : at + 8 + length]


def _check_header(path: Path, data: bytes) -> bytes:
    if len(data) < HEADER.size or not data.startswith(MAGIC):
        raise JournalDamaged(f"{path} is no journal of a run: it begins with {data[:8]!r}")
    _, version, _, identifier, crc = HEADER.unpack(data)
    if zlib.crc32(data[:-4]) != crc:
        raise JournalDamaged(f"the first bytes of {path} are damaged: their checksum is wrong")
    if version != VERSION:
        raise JournalDamaged(
            f"{path} is a journal of version {version}, this release reads version {VERSION}; use a newer one"
        )
    return bytes(identifier)

"""Writes the changes of a journal, large ones into the bytes of values that were superseded (decision 0051)."""

import os
import threading
from collections.abc import Iterable
from typing import Final

from devicedb.opening import open_bytes
from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.results._files import pread
from rexec.results.errors import ResultsError
from rexec.results.journal._encode import Buffer
from rexec.results.journal._record_file import RecordFile
from rexec.results.journal._space import HeldRecord, Piece, Space
from rexec.results.journal._superseded import (
    HEAD,
    content_crc,
    length_of,
    mark_of,
    mark_place,
    placed_parts,
    usable,
)
from rexec.results.journal.records import LONG, OVERHEAD, Kind, Record

PLACE_FROM: Final = 512
"""Least bytes of a body that may be placed, and whose bytes are given back."""

_LARGE: Final = 2**20
_OF_DATASETS: Final = frozenset({Kind.SET, Kind.APPEND, Kind.MUTATE, Kind.DELETE})
_ANEW: Final = frozenset({Kind.SET, Kind.DELETE, Kind.ARCHIVE})


class ReusingWriter:
    """The writing of changes. The journal's lock is held by whoever calls it.

    Args:
        file: The journal's file.

    Attributes:
        placed: Bytes that were placed so far.

    """

    def __init__(self, file: RecordFile) -> None:
        self.placed = 0
        self._file: Final = file
        self._space: Final = Space(PLACE_FROM)
        self._descriptor = -1
        self._keeps_all = False

    def keep_all(self) -> None:
        """Give nothing back from now on, so that every change can be read later."""
        self._keeps_all = True

    def write(self, record: Record, parts: list[Buffer]) -> None:
        """Write a change.

        Args:
            record: The change.
            parts: Its body.

        Raises:
            ResultsError: It cannot be written.

        """
        size = sum(map(len, parts))
        start = self._file.size
        pieces = self._space.take(size + 1) if size >= PLACE_FROM and self._can_place() else None
        if pieces is None:
            self._file.write(record.kind, parts)
        else:
            crc = self._place(record.kind, parts, pieces)
            self._file.write(Kind.PLACED, placed_parts(record.kind, parts, pieces, crc))
            self.placed += size
        if self._keeps_all:
            return
        is_dataset = record.kind in _OF_DATASETS
        if record.kind in _ANEW:
            for held in self._space.supersede((is_dataset, record.key), self._file.size):
                self._give_back(held)
        if size >= PLACE_FROM and (is_dataset or record.kind is Kind.ARCHIVE):
            given = usable(start, size + len(LONG) + OVERHEAD + 1) if pieces is None else tuple(pieces)
            self._space.hold((is_dataset, record.key), HeldRecord(start, given))

    def sync_begins(self, size: int) -> list[HeldRecord]:
        """Return what is given back once the first `size` bytes are on the disk: `synced` takes it."""
        return self._space.sync_begins(size)

    def synced(self, size: int, marked: Iterable[HeldRecord]) -> None:
        """Take note that the first `size` bytes are on the disk."""
        for held in marked:
            self._space.give_back(held)
        for held in self._space.synced(size):
            if self._mark(held):
                self._space.wait_for_mark(held)

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _give_back(self, held: HeldRecord) -> None:
        if self._mark(held):
            self._space.give_back(held)

    def _mark(self, held: HeldRecord) -> bool:
        """Mark a record as superseded; return whether it is marked."""
        if not self._can_place():
            return False
        head = pread(self._descriptor, HEAD, held.start)
        if length_of(head) is None:
            return False
        try:
            self._write_at(mark_place(held.start), mark_of(head))
        except OSError:
            return False
        return True

    def _place(self, kind: Kind, parts: list[Buffer], pieces: list[Piece]) -> int:
        """Write the content of a record into pieces, and return its CRC-32, which is computed beside it."""
        found: list[int] = []
        thread = None
        if sum(map(len, parts)) >= _LARGE:
            thread = threading.Thread(
                target=lambda: found.append(content_crc(kind, parts)), name="rexec-journal-crc"
            )
            thread.start()
        try:
            self._write_pieces([bytes([kind]), *parts], pieces)
        except OSError as error:
            raise ResultsError(f"cannot keep a change in {self._file.path}: {error.strerror}") from error
        finally:
            if thread is not None:
                thread.join()
        return found[0] if found else content_crc(kind, parts)

    def _write_pieces(self, parts: list[Buffer], pieces: list[Piece]) -> None:
        left = iter(pieces)
        at, room = next(left)
        for part in parts:
            view = memoryview(part).cast("B")
            while len(view):
                if not room:
                    at, room = next(left)
                count = min(room, len(view))
                self._write_at(at, view[:count])
                view, at, room = view[count:], at + count, room - count

    def _write_at(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        while len(view):
            if hasattr(os, "pwrite"):
                count = os.pwrite(self._descriptor, view[:MOST_AT_ONCE], offset)
            else:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                count = os.write(self._descriptor, view)
            view, offset = view[count:], offset + count

    def _can_place(self) -> bool:
        """Return whether there is a descriptor of the journal's own file, which writes where it is told to."""
        if self._keeps_all or self._file.descriptor < 0 or self._file.failure is not None:
            return False
        own = os.fstat(self._file.descriptor)
        if self._descriptor >= 0:
            if os.path.samestat(os.fstat(self._descriptor), own):
                return True
            self.close()
        try:
            self._descriptor = open_bytes(self._file.path, os.O_RDWR)
        except OSError:
            return False
        if os.path.samestat(os.fstat(self._descriptor), own):
            return True
        self.close()
        return False

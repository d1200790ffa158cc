"""Reads what can be read of a damaged journal: it goes on behind each damaged place."""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rexec.results.journal._superseded import MARKED_FROM
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import (
    HEADER,
    OVERHEAD,
    READ_ONLY_KINDS,
    SHORT_MARKERS,
    SHORT_SIZE,
    Kind,
    Record,
    unsealed,
)

_BLOCK: Final = 4 * 2**20
_EFFORT: Final = 64
"""Bytes that are read to try checksums, for each byte of the file."""

_LENGTH: Final = struct.Struct("<Q")
_KINDS: Final = frozenset(Kind) - READ_ONLY_KINDS


class _Names(dict[int, str]):
    """Names by their numbers; one that was in a damaged place has a name that says so."""

    def __missing__(self, number: int) -> str:
        return f"lost name {number}"


class SalvageReader(JournalReader):
    """Yields an UNREADABLE record for each damaged place, and goes on behind it."""

    def _read_header(self, data: bytes) -> bytes:
        self._keys = _Names()
        # The version may be what is damaged; how the first record begins tells it, too.
        first = self._pread(9, HEADER.size)
        is_marked = (
            len(first) == 9 and not first[0] and unsealed(_LENGTH.unpack_from(first, 1)[0]) is not None
        )
        is_plain = len(first) == 9 and unsealed(_LENGTH.unpack_from(first)[0]) is not None
        self._skip = int(is_marked or (not is_plain and data[8:9] != b"\1"))
        return data[12:28].ljust(16, b"\0")

    def records(self, until: int | None = None) -> Iterator[Record]:
        """Yield all records that are whole, and where there is none, one that says what is missing."""
        names, self._keys = self._keys, _Names()
        self._keys.update(names)
        size = os.fstat(self._descriptor).st_size
        effort = _EFFORT * size
        while True:
            yield from super().records(until)
            if self.damage is None or self.offset >= size:
                return
            start, damage = self.offset, self.damage
            found = size
            self._since = 0.0  # of what was in the damaged place nobody knows the time
            for candidate, length in self._candidates(start + 1, size):
                effort -= length
                if effort < 0 or self._is_record(candidate, length):
                    found = candidate if effort >= 0 else size
                    break
            self._count += 1
            text = f"{found - start} bytes of the journal cannot be read: {damage}"
            yield Record(Kind.UNREADABLE, value=text, number=self._count)
            self.offset = found

    def _candidates(self, start: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield place and bytes of what may be a record: a length with its check that fits, or a short one."""
        for begin in range(start, size, _BLOCK):
            block = self._pread(_BLOCK + SHORT_SIZE, begin)
            found = []
            for shift in range(8):
                place = self._skip + shift
                words = np.frombuffer(block, "<u8", max(0, len(block) - place) // 8, min(place, len(block)))
                lengths = words & np.uint64(0xFFFFFFFFFFFF)
                check = (lengths ^ lengths >> np.uint64(16) ^ lengths >> np.uint64(32)) & np.uint64(0xFFFF)
                places = shift + 8 * np.arange(len(words))
                left = np.uint64(size - begin) - places.astype(np.uint64)
                fits = (lengths > 0) & (lengths <= left) & (words >> np.uint64(48) == check)
                sizes = lengths[fits].astype(np.int64) + OVERHEAD + self._skip
                found.append(np.stack([begin + places[fits], sizes], axis=1))
            if self._skip:
                found.append(_shorts(block, begin))
            together = np.concatenate(found)
            yield from map(tuple, together[np.argsort(together[:, 0], kind="stable")].tolist())

    def _is_record(self, place: int, length: int) -> bool:
        if self._superseded(place, MARKED_FROM):
            return True
        head = self._pread(self._skip + 9, place)
        if (head[:1] not in _SHORT_BYTES or not self._skip) and head[self._skip + 8 :] not in _KIND_BYTES:
            return False
        crc, left = 0, length - 4
        while left:
            piece = self._pread(min(left, _BLOCK), place)
            if not piece:
                return False
            crc, left, place = zlib.crc32(piece, crc), left - len(piece), place + len(piece)
        return self._pread(4, place) == crc.to_bytes(4, "little")


_KIND_BYTES: Final = frozenset(bytes([kind]) for kind in _KINDS)
_SHORT_BYTES: Final = frozenset(bytes([marker]) for marker in SHORT_MARKERS)


def _shorts(block: bytes, begin: int) -> "np.ndarray[Any, Any]":
    """Return place and bytes of each short record in a block: its checksum is right."""
    markers = np.flatnonzero(_IS_SHORT[np.frombuffer(block, np.uint8)]).tolist()
    view, body = memoryview(block), SHORT_SIZE - 4
    places = [
        begin + at
        for at in markers
        if zlib.crc32(view[at : at + body]).to_bytes(4, "little") == view[at + body : at + SHORT_SIZE]
    ]
    return np.array([(place, SHORT_SIZE) for place in places], dtype=np.int64).reshape(-1, 2)


_IS_SHORT: Final = np.isin(np.arange(256), list(SHORT_MARKERS))

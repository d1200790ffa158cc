"""Which bytes of a journal belong to values that were superseded, and may hold others: the bookkeeping, without a file.

A record that is superseded before it was ever synced gives its bytes back at once: nothing was promised of it. Any
other one has to wait for two syncs. After the first the record that supersedes it is on the disk, and it is marked;
after the second the mark is on the disk, too.
"""

from heapq import heappop, heappush
from typing import Final, NamedTuple

MOST_RECORDS: Final = 2**16
"""Maximum number of records that are tracked; small ones beyond it are forgotten, and never give their bytes back."""

MOST_PIECES: Final = 64
"""Maximum number of pieces of a value."""

Piece = tuple[int, int]
"""Offset and length."""


class HeldRecord(NamedTuple):
    """A record, by its place in the sequence, and the bytes that it gives back."""

    start: int
    pieces: tuple[Piece, ...]


class Space:
    """Bytes of a journal: held, waiting, free.

    Args:
        smallest: Least bytes of a record that is tracked.

    """

    def __init__(self, smallest: int) -> None:
        self._smallest = smallest
        self._least: Final = smallest
        self._held: Final[dict[tuple[bool, str], list[HeldRecord]]] = {}
        self._count = 0
        self._promised = 0
        self._waiting: list[tuple[int, HeldRecord]] = []
        self._marked: list[HeldRecord] = []
        self._free: Final[dict[int, int]] = {}
        self._ends: Final[dict[int, int]] = {}
        self._largest: Final[list[tuple[int, int]]] = []
        """A heap of (-length, start) of free pieces that are large enough; some of them are not free any more."""

    def hold(self, owner: tuple[bool, str], held: HeldRecord) -> None:
        """Keep track of a record of an owner, until that is superseded."""
        if sum(length for _, length in held.pieces) < self._smallest:
            return
        self._held.setdefault(owner, []).append(held)
        self._count += 1
        if self._count > MOST_RECORDS:
            self._forget_small()

    def supersede(self, owner: tuple[bool, str], end: int) -> list[HeldRecord]:
        """Return the records to be marked now, whose bytes are free then; others wait.

        Args:
            owner: What was set anew, or removed.
            end: Where the record ends that says so.

        """
        records = self._held.pop(owner, [])
        self._count -= len(records)
        self._waiting += [(end, held) for held in records if held.start < self._promised]
        return [held for held in records if held.start >= self._promised]

    def sync_begins(self, size: int) -> list[HeldRecord]:
        """Promise the first `size` bytes, and return the records whose marks are among them."""
        self._promised = max(self._promised, size)
        marked, self._marked = self._marked, []
        return marked

    def synced(self, size: int) -> list[HeldRecord]:
        """Return the records to be marked, because what supersedes them is on the disk."""
        ready = [held for end, held in self._waiting if end <= size]
        self._waiting = [(end, held) for end, held in self._waiting if end > size]
        return ready

    def wait_for_mark(self, held: HeldRecord) -> None:
        """Give the bytes of a marked record back after the next sync."""
        self._marked.append(held)

    def give_back(self, held: HeldRecord) -> None:
        """Let the bytes of a record be used."""
        for start, length in held.pieces:
            self._add(start, length)

    def take(self, length: int) -> list[Piece] | None:
        """Return pieces of so many bytes, which are not free any more; None: there are none, or too small ones."""
        found: list[Piece] = []
        while length > 0 and self._largest and len(found) < MOST_PIECES:
            size, start = heappop(self._largest)
            if self._free.get(start) == -size:
                self._free.pop(start)
                self._ends.pop(start - size, None)
                found.append((start, -size))
                length += size
        if length > 0:
            for piece in found:
                self._add(*piece)
            return None
        if length < 0:  # more than is needed
            start, size = found.pop()
            found.append((start, size + length))
            self._add(start + size + length, -length)
        return found

    # A signal may hit between any two lines: what it leaves is not free, and never free twice.

    def _add(self, start: int, length: int) -> None:
        before = self._ends.pop(start, None)
        if before is not None and self._free.get(before) == start - before:
            length += self._free.pop(before)
            start = before
        behind = self._free.pop(start + length, None)
        if behind is not None:
            self._ends.pop(start + length + behind, None)
            length += behind
        self._free[start] = length
        self._ends[start + length] = start
        if length >= self._least:
            heappush(self._largest, (-length, start))

    def _forget_small(self) -> None:
        self._smallest *= 4
        for owner, records in list(self._held.items()):
            kept = [each for each in records if sum(length for _, length in each.pieces) >= self._smallest]
            self._held[owner] = kept
            if not kept:
                del self._held[owner]
        self._count = sum(map(len, self._held.values()))

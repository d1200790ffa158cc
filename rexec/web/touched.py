"""Which rows of an array have changed since a version, in a bounded memory."""

from collections import deque
from typing import Final

_MOST: Final = 256


class TouchedRows:
    """Ranges of rows with the version that changed them; the oldest are forgotten."""

    def __init__(self) -> None:
        self._ranges: deque[tuple[int, int, int]] = deque()
        self._forgotten = 0

    def add(self, version: int, start: int, stop: int) -> None:
        """Note that rows were changed."""
        if self._ranges and self._ranges[-1][1] <= start and stop <= self._ranges[-1][2]:
            start, stop = self._ranges.pop()[1:]
        self._ranges.append((version, start, stop))
        if len(self._ranges) > _MOST:
            self._forgotten = self._ranges.popleft()[0]

    def since(self, version: int) -> tuple[int, int] | None:
        """Return the range that holds all changes after a version, empty (0, 0) without any; None: not known."""
        if version < self._forgotten:
            return None
        low = high = 0
        for changed, start, stop in reversed(self._ranges):
            if changed <= version:
                break
            low, high = (start, stop) if high == low else (min(low, start), max(high, stop))
        return low, high

"""Lines that wait for a subscriber, of which those about one part can be dropped."""

from collections import deque
from typing import Any, Final

Line = bytes | bytearray
"""A line with its end; a bytearray (a long one, of which no copy was made) does not change any more."""
WHOLE: Final = object()
"""Stands for everything that is followed, where a line is not about a part of it."""
_OVERHEAD: Final = 100
"""Bytes that it takes to hold a line, beside its text."""
_FEW: Final = 1000
"""Traces of dropped lines that are kept for the next ones."""


class LineQueue:
    """Lines in their order. What each operation costs does not depend on how many lines wait.

    Attributes:
        size: Bytes in the lines, and what it takes to hold them.

    """

    def __init__(self) -> None:
        self.size = 0
        self._count = 0
        self._order: deque[Any] = deque()
        """What each line is about, also of dropped ones."""
        self._lines: dict[Any, deque[Line]] = {}
        self._gone: dict[Any, int] = {}
        """How many of the oldest places in `_order` that a part has are those of dropped lines."""

    def __len__(self) -> int:
        return self._count

    def put(self, line: Line, part: Any = WHOLE) -> None:
        """Add a line about a part of what is followed."""
        lines = self._lines.get(part)
        if lines is None:
            lines = self._lines[part] = deque()
        lines.append(line)
        self._order.append(part)
        self._count += 1
        self.size += len(line) + _OVERHEAD

    def take(self) -> Line:
        """Remove and return the oldest line."""
        part = self._order.popleft()
        while part in self._gone:
            self._forget(part)
            part = self._order.popleft()
        lines = self._lines[part]
        line = lines.popleft()
        if not lines:
            del self._lines[part]
        self._count -= 1
        self.size -= len(line) + _OVERHEAD
        return line

    def drop(self, part: Any) -> int:
        """Drop the lines about a part, and return their number."""
        lines = self._lines.pop(part, None)
        if lines is None:
            return 0
        count = len(lines)
        self.size -= sum(map(len, lines)) + count * _OVERHEAD
        self._count -= count
        self._gone[part] = self._gone.get(part, 0) + count
        if len(self._order) > 2 * self._count + _FEW:
            self._tidy()
        return count

    def clear(self) -> int:
        """Drop all lines, and return their number."""
        count, self._count, self.size = self._count, 0, 0
        self._order.clear()
        self._lines.clear()
        self._gone.clear()
        return count

    def _forget(self, part: Any) -> None:
        left = self._gone[part] - 1
        if left:
            self._gone[part] = left
        else:
            del self._gone[part]

    def _tidy(self) -> None:
        """Remove the places of dropped lines, as many as there are others or more: that is paid by their drops."""
        order: deque[Any] = deque()
        for part in self._order:
            if part in self._gone:
                self._forget(part)
            else:
                order.append(part)
        self._order = order

"""The last lines of the laboratory's log, bounded in number and bytes."""

from collections import deque
from typing import Any, Final

from devicedb.printable import LINES, printable
from rexec.web.clock import VersionClock

MOST_LINES: Final = 5000
MOST_TEXT: Final = 4000
"""Characters of a message that are kept."""

_MOST_CHARACTERS: Final = 4_000_000
_HIGHEST: Final = 1000
"""No level is higher: JSON has no place for any whole number."""


class LogLines:
    """The log as a browser asks for it: what is new since a version.

    Args:
        clock: Counts the lines.

    """

    def __init__(self, clock: VersionClock) -> None:
        self._clock: Final = clock
        self._lines: Final[deque[tuple[int, list[Any]]]] = deque()
        self._characters = 0

    def add(self, level: int, source: str, time: float, message: str) -> None:
        """Take a message, "NAME:TEXT"."""
        name, _, text = message.partition(":")
        shown = printable(text[:MOST_TEXT], keep=LINES)
        if len(text) > MOST_TEXT:
            shown += f" … ({len(text)} characters)"
        line = [min(max(level, 0), _HIGHEST), printable(source[:100]), time, printable(name[:100]), shown]
        self._lines.append((self._clock.tick(), line))
        self._characters += len(shown)
        while len(self._lines) > MOST_LINES or self._characters > _MOST_CHARACTERS:
            self._characters -= len(self._lines.popleft()[1][4])

    def since(self, version: int, most: int = 500) -> tuple[list[list[Any]], int]:
        """Return the lines after a version, the last `most` of them, and how many more there were."""
        found: list[list[Any]] = []
        more = 0
        for changed, line in reversed(self._lines):
            if changed <= version:
                break
            if len(found) < most:
                found.append(line)
            else:
                more += 1
        return found[::-1], more

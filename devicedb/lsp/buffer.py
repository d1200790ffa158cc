"""The text of a file in an editor, and positions in it."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, order=True)
class Spot:
    """A position as editors count: lines from 0, columns from 0 in units of the agreed encoding."""

    line: int
    column: int


@dataclass(frozen=True)
class BufferText:
    """A text whose positions are converted between offsets, characters, UTF-8 bytes and an editor's units.

    Lines end at CR LF, CR or LF, as for Python and for editors.
    """

    text: str
    encoding: str = "utf-16"
    """What a column of a `Spot` counts: "utf-8", "utf-16" or "utf-32" units."""

    @cached_property
    def starts(self) -> list[int]:
        """Offset of the first character of each line."""
        return [0, *(each.end() for each in _LINE_END.finditer(self.text))]

    @cached_property
    def is_ascii(self) -> bool:
        """Whether every character is one unit in every encoding."""
        return self.text.isascii()

    def line(self, number: int) -> str:
        """Return a line by its number from 0, without its end; "" beyond the last one."""
        if not 0 <= number < len(self.starts):
            return ""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.text)
        return self.text[self.starts[number] : end].rstrip("\r\n")

    def offset(self, spot: Spot) -> int:
        """Return the offset of a position; one beyond the end of its line is the end of the line."""
        if spot.line >= len(self.starts):
            return len(self.text)
        line = self.line(spot.line)
        return self.starts[spot.line] + characters(line, spot.column, self.encoding)

    def spot(self, offset: int) -> Spot:
        """Return the position of an offset."""
        number = bisect_right(self.starts, offset) - 1
        return self.at(number, offset - self.starts[number])

    def at(self, line: int, column: int) -> Spot:
        """Return the position of a line and a column, both from 0, the column in characters."""
        number = min(max(line, 0), len(self.starts) - 1)
        text = self.line(number)
        if number < line:  # beyond the last line: the end of the file
            column = len(text)
        column = min(max(column, 0), len(text))
        return Spot(number, column if self.is_ascii else units(text[:column], self.encoding))

    def at_byte(self, line: int, byte: int) -> Spot:
        """Return the position of a line and a column, both from 0, the column in UTF-8 bytes."""
        text = self.line(line)
        return self.at(line, byte if self.is_ascii else characters(text, byte, "utf-8"))


def units(text: str, encoding: str) -> int:
    """Return how many units of an encoding a text has."""
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    if encoding == "utf-16":
        return len(text) + sum(1 for char in text if char > "\uffff")
    return len(text)


def characters(text: str, count: int, encoding: str) -> int:
    """Return how many whole characters of a text fit into so many units of an encoding."""
    if encoding == "utf-32" or text.isascii():
        return min(max(count, 0), len(text))
    for index, char in enumerate(text):
        count -= units(char, encoding)
        if count < 0:
            return index
    return len(text)


def line_now(before: BufferText, number: int, now: BufferText) -> int:
    """Return where a line of an earlier text is in the present one.

    Lines around what was edited only move. Between two edits it is the nearest line of the same text.

    Args:
        before: The earlier text.
        number: Number of a line in it, from 0.
        now: The present text.

    """
    if before.text == now.text:
        return number
    old, new = before.text, now.text
    same = _common(old, new)
    if number < bisect_right(before.starts, same) - 1:
        return number
    tail = _common(old[same:][::-1], new[same:][::-1])
    if before.starts[min(number, len(before.starts) - 1)] >= len(old) - tail:
        return number + len(now.starts) - len(before.starts)
    line = before.line(number)
    for distance in range(len(now.starts)):
        for other in (number - distance, number + distance):
            if 0 <= other < len(now.starts) and now.line(other) == line:
                return other
    return min(number, len(now.starts) - 1)


def _common(left: str, right: str) -> int:
    """Length of the common beginning, by bisection: comparing slices is quick."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low

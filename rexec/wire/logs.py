"""Log records as text: what controllers write to their standard error, and what a master's logging port takes.

A record is `LEVEL:NAME:TEXT`, and `LEVEL<n>:NAME:TEXT` where it has n lines. On the logging port (1066) of a master
the same follows the name of the source and a colon; the connection begins with `BANNER`, and nothing is answered.
Observed between an ARTIQ 9 master and its controller manager: a line that a program prints is a record of
level INFO and name `print`; a source with a colon is cut there; a line without any, or one that is not UTF-8, makes
the master close the connection.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BANNER: Final = b"ARTIQ logging\n"
RECORD_LIMIT: Final = 1 << 18
"""Characters of the further lines of a record, beyond which they are dropped."""
PRINTED: Final = "print"
"""Name of a record that is a line which a program printed."""

_HEAD: Final = re.compile(
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(<(?P<lines>\d{1,4})>)?:((?P<name>[^:]*):)?(?P<text>.*)",
    re.S,
)
_LEVELS: Final = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


@dataclass(frozen=True)
class LogLine:
    """One log record."""

    level: int
    name: str
    """Of the logger."""
    text: str
    """May have several lines."""


class Reader:
    """Makes records of the lines of one program, given one after the other without their ends."""

    def __init__(self) -> None:
        self._begun: LogLine | None = None
        self._lines: list[str] = []
        # Set at the first line of a record of several.
        self._missing: int
        self._left: int
        self._cut: int

    def feed(self, line: str) -> LogLine | None:
        """Return the record that ends with this line, None if it goes on."""
        if self._begun is not None:
            self._left -= len(line) + 1
            if self._left >= 0:
                self._lines.append(line)
            else:
                self._cut += len(line) + 1
            self._missing -= 1
            return self.flush() if self._missing == 0 else None
        head = _HEAD.fullmatch(line)
        if head is None:
            return LogLine(logging.INFO, PRINTED, line)
        record = LogLine(logging.getLevelNamesMapping()[head["level"]], head["name"] or PRINTED, head["text"])
        self._missing = int(head["lines"] or 1) - 1
        if self._missing <= 0:
            return record
        self._begun, self._lines = record, [record.text]
        self._left, self._cut = RECORD_LIMIT, 0
        return None

    def flush(self) -> LogLine | None:
        """Return the incomplete record, when no more lines will come."""
        record, self._begun = self._begun, None
        if record is None:
            return None
        lines, self._lines = self._lines, []
        if self._cut:
            lines.append(f"... {self._cut} more characters were dropped")
        return LogLine(record.level, record.name, "\n".join(lines))


def begins_record(line: str) -> bool:
    """Return whether a line has the level of a record, and is not one that a program printed."""
    return _HEAD.fullmatch(line) is not None


def message(source: str, record: LogLine) -> bytes:
    """Return a record as the logging port of a master takes it.

    Args:
        source: Name of the program, for example `controller(lamp)`; colons and line ends in it are replaced.
        record: The record.

    Returns:
        Its lines, each with its end.

    """
    lines = record.text.split("\n")
    count = f"<{len(lines)}>" if len(lines) > 1 else ""
    head = f"{_one_word(source)}:{_level_name(record.level)}{count}:{_one_word(record.name)}:"
    return (head + record.text + "\n").encode("utf-8", "backslashreplace")


def _one_word(text: str) -> str:
    return re.sub(r"[:\n\r]", ".", text)


def _level_name(level: int) -> str:
    """Return the name of a level, or of the highest one below it."""
    values = logging.getLevelNamesMapping()
    return next((name for name in _LEVELS if values[name] <= level), "DEBUG")


def records(lines: Iterator[str]) -> Iterator[LogLine]:
    """Return the records of lines that end."""
    reader = Reader()
    for line in lines:
        record = reader.feed(line)
        if record is not None:
            yield record
    last = reader.flush()
    if last is not None:
        yield last

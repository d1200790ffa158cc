"""A stretch of source."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """A stretch of source: lines from 1, columns from 0 in UTF-8 bytes."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

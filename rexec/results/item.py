"""One dataset of a run: what of it was changed since a file was brought up to date, and what of it only files hold."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rexec.ground.kept import KeptArray

_EDITS: Final = 4

RELEASE_FROM: Final = 2**22
"""Bytes in memory from which on the rows of a list are held by the files alone."""

_OBJECT: Final = 64
"""Bytes of a number in a list: the object, and the place in the list."""


class RowsReleased(Exception):  # no error: a reason to fold the journal again
    """Raised where rows of a list are needed that are no longer in memory."""


@dataclass
class Item:
    """One dataset of a run.

    Attributes:
        value: Its value now.
        metadata: Those given of unit, scale, precision.
        origin: Who set it last, "run" or "client".
        broadcast: Whether a database shows it.
        persist: Whether a database keeps it.
        time: When it was changed last, seconds since the epoch.
        generation: A number that changes when it is set anew, or in a way that `edits` do not cover.
        changed: Number of the record that changed it last.
        edits: Rows that were changed in place, as (epoch, from, to): for files that hold older rows.
        released: How many rows at the beginning of a list are in the files alone; `value` has those behind them.

    """

    value: Any
    metadata: dict[str, Any]
    origin: str = "run"
    broadcast: bool = False
    persist: bool = False
    time: float = 0.0
    generation: int = 0
    changed: int = 0
    edits: list[tuple[int, int, int]] = field(default_factory=list)
    released: int = 0

    @property
    def rows(self) -> int:
        """How many rows a list has, in memory or not."""
        return self.released + len(self.value)

    @property
    def is_heavy(self) -> bool:
        """Whether it is a list whose rows in memory are worth releasing."""
        if type(self.value) is not list or not self.value:
            return False
        last = self.value[-1]
        if type(last) is KeptArray:  # it is in the journal, not in memory
            return False
        return len(self.value) * (_OBJECT + _size(last)) >= RELEASE_FROM

    def bytes_from(self, first: int | None) -> int:
        """Return about how many bytes the rows of a list have from one on; 0 for None, and for what is no list."""
        if first is None or type(self.value) is not list or not self.value:
            return 0
        return (self.rows - first) * max(_size(self.value[-1]), 8)

    def rows_from(self, first: int) -> list[Any]:
        """Return the rows of a list from one on.

        Raises:
            RowsReleased: Not all of them are in memory.

        """
        if first < self.released:
            raise RowsReleased
        rows: list[Any] = self.value[first - self.released :]
        return rows

    def release(self, count: int) -> None:
        """Let go of the first rows of a list: files hold them."""
        if count > self.released:
            del self.value[: count - self.released]
            self.released = count

    def edited_since(self, epoch: int) -> tuple[int, int] | None:
        """Return the rows [from, to) that were changed in place in `epoch` or later, or None."""
        rows = [(first, last) for when, first, last in self.edits if when >= epoch]
        return (min(first for first, _ in rows), max(last for _, last in rows)) if rows else None

    def edit(self, epoch: int, first: int, last: int) -> None:
        """Take note that rows were changed in place."""
        if self.edits and self.edits[-1][0] == epoch:
            _, start, end = self.edits[-1]
            self.edits[-1] = (epoch, min(first, start), max(last, end))
            return
        self.edits.append((epoch, first, last))
        if len(self.edits) > _EDITS:
            # Of old epochs few ranges are kept, at the price of writing some rows twice.
            (_, start, end), (later, first, last) = self.edits[:2]
            self.edits[:2] = [(later, min(first, start), max(last, end))]


def _size(row: Any) -> int:
    """Return the bytes of a row beside the object."""
    if isinstance(row, np.ndarray | KeptArray):
        return row.nbytes
    return len(row) if isinstance(row, str | bytes) else 0

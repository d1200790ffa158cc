"""One dataset of a run, and what of it was changed since a file was brought up to date."""

from dataclasses import dataclass, field
from typing import Any, Final

_EDITS: Final = 4


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

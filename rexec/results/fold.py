"""What a journal adds up to: the state of a run, as a pure fold over its records."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rexec.results.history import History
from rexec.results.item import Item
from rexec.results.records import Kind, Record

_CHANGES: Final = frozenset({Kind.SET, Kind.APPEND, Kind.MUTATE, Kind.DELETE})


@dataclass
class RunState:
    """Everything that a journal says so far.

    Attributes:
        identity: Fields of `schemas.RunIdentity`.
        datasets: What belongs under `datasets/`.
        archive: What belongs under `archive/`.
        notes: Further facts by name, such as which dataset to plot.
        end: How the run ended; None while it goes on, or where it was cut off.
        records: How many records were folded.
        last_time: Time of the last record, seconds since the epoch.
        problems: Changes that could not be carried out, as text.
        history: Of a recording: what keeps every change, not only the last value.
        epoch: How often a file was brought up to date; changes in place are dated by it.

    """

    identity: dict[str, Any] = field(default_factory=dict)
    datasets: dict[str, Item] = field(default_factory=dict)
    archive: dict[str, Item] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    records: int = 0
    last_time: float = 0.0
    problems: list[str] = field(default_factory=list)
    history: History | None = None
    epoch: int = 0

    def apply(self, record: Record) -> None:
        """Take in the next record."""
        self.records += 1
        self.last_time = max(self.last_time, record.time)
        kind = record.kind
        if self.history is not None and kind in _CHANGES:
            self.history.apply(record, self.records)
        elif kind is Kind.APPEND:
            item = self.datasets.get(record.key)
            if item is not None:
                self._append(item, record)
        elif kind is Kind.SET:
            self._set(record)
        elif kind is Kind.MUTATE:
            item = self.datasets.get(record.key)
            if item is not None:
                self._mutate(item, record)
        elif kind is Kind.DELETE:
            self.datasets.pop(record.key, None)
        elif kind is Kind.ARCHIVE:
            self.archive[record.key] = self._item(record)
        elif kind is Kind.IDENTITY:
            self.identity |= record.value
            if self.history is None and _keeps_history(self.identity):
                self.history = History(self.datasets)
        elif kind is Kind.NOTE and record.key == "comparison":
            self.notes.setdefault("comparisons", []).append(record.value | {"order": self.records})
        elif kind is Kind.NOTE:
            self.notes[record.key] = record.value
        elif kind is Kind.END:
            self.end = record.value

    def _set(self, record: Record) -> None:
        if record.archive:
            # Popped first, so that datasets stand in the order in which they were set last.
            self.datasets.pop(record.key, None)
            self.datasets[record.key] = self._item(record)
        else:
            self.datasets.pop(record.key, None)

    def _item(self, record: Record) -> Item:
        return Item(
            record.value,
            dict(record.metadata),
            record.origin,
            record.broadcast,
            record.persist,
            record.time,
            self.records,
            self.records,
        )

    def _append(self, item: Item, record: Record) -> None:
        item.time, item.changed = record.time, self.records
        if isinstance(item.value, list):
            item.value.append(record.value)
        else:
            self.problems.append(f"{record.key}: nothing can be appended to a {type(item.value).__name__}")

    def _mutate(self, item: Item, record: Record) -> None:
        item.time, item.changed = record.time, self.records
        before = len(item.value) if isinstance(item.value, list) else None
        try:
            item.value[record.index] = record.value
        except (TypeError, ValueError, IndexError, KeyError) as error:
            self.problems.append(f"{record.key}[{record.index!r}] could not be set: {error}")
            return
        rows = _rows(item.value, record.index)
        if rows is None or (before is not None and before != len(item.value)):
            item.generation = -self.records
            item.edits.clear()
        else:
            item.edit(self.epoch, *rows)


def _keeps_history(identity: dict[str, Any]) -> bool:
    """Return whether an identity is that of a recording: a bridge's, that keeps every change."""
    recording = identity.get("recording")
    return isinstance(recording, dict) and recording.get("mode") == "record"


def _rows(value: Any, index: Any) -> tuple[int, int] | None:
    """Return the rows [from, to) that an index reaches, or None when that is not plain."""
    if isinstance(index, tuple) and index:
        index = index[0]
    if not (isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim)):
        return None
    count = len(value)
    if isinstance(index, int) and not isinstance(index, bool):
        row = index + count if index < 0 else index
        return row, row + 1
    if isinstance(index, slice):
        rows = range(count)[index]
        return (min(rows[0], rows[-1]), max(rows[0], rows[-1]) + 1) if rows else (0, 0)
    return None

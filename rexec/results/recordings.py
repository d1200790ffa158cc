"""A recording's journal as the records of columns, so that its file holds every change, not only the last values.

A recording is a journal whose identity has the field `recording` with `{"mode": "record"}`. Each dataset K becomes
columns in the group `datasets/K`, of which those that share a prefix and a number have one row a change:

    value, time, order              what K was set to; a second type of value makes value_2, time_2, order_2, and so on
    items_value, items_time, …      the items of K where it is a list, those that it was set to and those appended
    lists_length, lists_time, …     where K was set to a list: of how many items, which have the same order
    mutations_index, mutations_value, …  where a part of K was changed
    other_value, other_time, …      set to what is no number, text or array: PYON text; other_items_… are like it
    deleted_time, deleted_order     where K was deleted

`time` is when the change was received, in seconds since the epoch; `order` counts what the file holds, so that it
tells the sequence across all columns.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final

import numpy as np

from rexec.ground.kept import loaded
from rexec.results.fold import RunState
from rexec.results.hdf5.rows import list_row, row_of
from rexec.results.hdf5.texts import pyon_text
from rexec.results.item import RowsReleased
from rexec.results.journal.records import Kind, Record

MOST_TYPES: Final = 8
"""Types of values of which a dataset gets columns of their own; beyond them all are PYON text."""

_EXACT: Final = 2**53
"""Up to here every int is a float."""


class Translation:
    """Stands in front of the fold: gives it the records of columns for those of a recording, any others as they are.

    Args:
        state: What the fold has made of the records so far; it is only read.

    """

    def __init__(self, state: RunState) -> None:
        self._state: Final = state
        self._is_recording = False
        self._comparisons: list[Any] = []
        self._columns: dict[tuple[str, str], dict[str, str]] = {}
        """By dataset and prefix, the suffix of the columns for each type of row."""

    def __call__(self, record: Record) -> Iterable[Record]:
        """Return the records that stand for one; the fold takes in each before it asks for the next."""
        kind = record.kind
        if self._is_recording and kind in _CHANGES:
            return self._columns_of(record._replace(value=loaded(record.value)))
        if kind is Kind.IDENTITY:
            self._is_recording = self._is_recording or keeps_history(record.value)
        elif kind is Kind.NOTE and record.key == "comparison" and _is_comparison(record.value):
            self._comparisons.append(record.value | {"order": record.number})
            return (record._replace(key="comparisons", value=self._comparisons),)
        return (record,)

    def _columns_of(self, record: Record) -> Iterator[Record]:
        kind = record.kind
        if kind is Kind.SET:
            yield from self._set(record)
        elif kind is Kind.APPEND:
            yield from self._row(record, "items_", record.value)
        elif kind is Kind.MUTATE:
            plain = type(record.index) is int
            suffix, prefix = yield from self._row(
                record, "mutations_" if plain else "mutations_at_", record.value
            )
            index = record.index if plain else pyon_text(record.index)
            yield from self._add(f"{record.key}/{prefix}index{suffix}", index, record)
        elif kind is Kind.DELETE:
            yield from self._stamp(record, "deleted_", "")

    def _set(self, record: Record) -> Iterator[Record]:
        value = _plain(record.value)
        if type(value) is list and _is_flat([_plain(item) for item in value]):
            yield from self._add(f"{record.key}/lists_length", len(value), record)
            yield from self._stamp(record, "lists_", "")
            for item in value:
                yield from self._row(record, "items_", item)
        else:
            yield from self._row(record, "", value)

    def _row(self, record: Record, prefix: str, value: Any) -> Generator[Record, None, tuple[str, str]]:
        """Add a value to the columns of its type; return their suffix and prefix."""
        value = _plain(value)
        row = row_of(value)
        found = None
        if row is not None and not (isinstance(value, np.ndarray) and not value.size):
            found = yield from self._suffix(record, prefix, row, value)
        if found is None:
            found, prefix, value = "", f"other_{prefix}", pyon_text(value)
        elif row == "int" and found == self._columns[record.key, prefix].get("float"):
            value = float(value)
        yield from self._add(f"{record.key}/{prefix}value{found}", value, record, record.metadata)
        yield from self._stamp(record, prefix, found)
        return found, prefix

    def _suffix(
        self, record: Record, prefix: str, row: str, value: Any
    ) -> Generator[Record, None, str | None]:
        suffixes = self._columns.setdefault((record.key, prefix), {})
        if row in suffixes:
            return suffixes[row]
        if row == "int" and "float" in suffixes and abs(value) <= _EXACT:
            return suffixes["float"]
        if row == "float" and "int" in suffixes:
            # A dataset that began as 0 and goes on as 0.5 is one column.
            name = f"{record.key}/{prefix}value{suffixes['int']}"
            held = _rows_of(self._state, name)
            if all(type(number) is int and abs(number) <= _EXACT for number in held):
                floats = [float(number) for number in held]
                metadata = self._state.datasets[name].metadata
                yield record._replace(kind=Kind.SET, key=name, value=floats, metadata=metadata, archive=True)
                suffixes["float"] = suffixes.pop("int")
                return suffixes["float"]
        if len(suffixes) >= MOST_TYPES:
            return None
        suffixes[row] = f"_{len(suffixes) + 1}" if suffixes else ""
        return suffixes[row]

    def _stamp(self, record: Record, prefix: str, suffix: str) -> Iterator[Record]:
        yield from self._add(f"{record.key}/{prefix}time{suffix}", record.time, record, {"unit": "s"})
        yield from self._add(f"{record.key}/{prefix}order{suffix}", record.number, record)

    def _add(self, name: str, value: Any, record: Record, metadata: Any = None) -> Iterator[Record]:
        """Yield what appends to a column, after what begins it or gives it other metadata."""
        item = self._state.datasets.get(name)
        metadata = metadata if isinstance(metadata, dict) else {}
        if item is None or (metadata and not _is_same(metadata, item.metadata)):
            rows = _rows_of(self._state, name)
            yield record._replace(kind=Kind.SET, key=name, value=rows, metadata=metadata, archive=True)
        yield record._replace(kind=Kind.APPEND, key=name, value=value, metadata=None, index=None)


_CHANGES: Final = frozenset({Kind.SET, Kind.APPEND, Kind.MUTATE, Kind.DELETE})


def keeps_history(identity: Any) -> bool:
    """Return whether an identity is that of a recording: a bridge's, that keeps every change."""
    recording = identity.get("recording") if isinstance(identity, dict) else None
    return isinstance(recording, dict) and recording.get("mode") == "record"


def _is_comparison(value: Any) -> bool:
    """Return whether a note is what a bridge writes when it has compared: time, reason, lost, changes."""
    return (
        isinstance(value, dict)
        and type(value.get("time")) is float
        and type(value.get("lost")) in {float, type(None)}
        and type(value.get("changes")) is int
        and type(value.get("reason")) is str
    )


def _rows_of(state: RunState, name: str) -> list[Any]:
    """Return what a column holds; a journal of garbage may have set one to anything before."""
    item = state.datasets.get(name)
    if item is None or not isinstance(item.value, list):
        return []
    if item.released:
        raise RowsReleased
    return item.value


def _is_same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # what is compared may be an array, or anything else
        return False


def _plain(value: Any) -> Any:
    """Return the Python number that is in a NumPy scalar, anything else as it is."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufc" and value.dtype.itemsize <= 16:
        return value.item()
    return value


def _is_flat(items: list[Any]) -> bool:
    """Return whether the items of a list can be rows of one column."""
    return not items or {type(item) for item in items} <= {int, float} or list_row(items) is not None

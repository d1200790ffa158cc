"""Every change of a dataset instead of its last value: how a recording's journal becomes columns of an HDF5 file.

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

from typing import Any, Final

import numpy as np

from rexec.results.forms import list_row, row_of
from rexec.results.item import Item
from rexec.results.records import Kind, Record
from rexec.wire import pyon

MOST_TYPES: Final = 8
"""Types of values of which a dataset gets columns of their own; beyond them all are PYON text."""

_EXACT: Final = 2**53
"""Up to here every int is a float."""


class History:
    """Adds changes to columns: lists among the datasets of a run, which a file then takes over row by row.

    Args:
        datasets: Where the columns are.

    """

    def __init__(self, datasets: dict[str, Item]) -> None:
        self._datasets = datasets
        self._number = 0
        self._columns: dict[tuple[str, str], dict[str, str]] = {}
        """By dataset and prefix, the suffix of the columns for each type of row."""

    def apply(self, record: Record, number: int) -> None:
        """Take in a change of a dataset, the record of a number."""
        self._number = number
        key, kind = record.key, record.kind
        if kind is Kind.SET:
            self._set(record)
        elif kind is Kind.APPEND:
            self._row(record, "items_", record.value)
        elif kind is Kind.MUTATE:
            plain = type(record.index) is int
            prefix = "mutations_" if plain else "mutations_at_"
            index = record.index if plain else pyon.encode(record.index)
            suffix, prefix = self._row(record, prefix, record.value)
            self._add(f"{key}/{prefix}index{suffix}", index, record)
        elif kind is Kind.DELETE:
            self._stamp(record, "deleted_", "")

    def _set(self, record: Record) -> None:
        value = _plain(record.value)
        if type(value) is list and _is_flat([_plain(item) for item in value]):
            self._add(f"{record.key}/lists_length", len(value), record)
            self._stamp(record, "lists_", "")
            for item in value:
                self._row(record, "items_", item)
        else:
            self._row(record, "", value)

    def _row(self, record: Record, prefix: str, value: Any) -> tuple[str, str]:
        """Add a value to the columns of its type; return their suffix and prefix."""
        value = _plain(value)
        row = row_of(value)
        if row is None or (isinstance(value, np.ndarray) and not value.size):
            suffix, prefix, value = "", f"other_{prefix}", pyon.encode(value)
        else:
            found = self._suffix(record.key, prefix, row, value)
            if found is None:
                suffix, prefix, value = "", f"other_{prefix}", pyon.encode(value)
            else:
                suffix = found
        self._add(f"{record.key}/{prefix}value{suffix}", value, record)
        self._stamp(record, prefix, suffix)
        return suffix, prefix

    def _suffix(self, key: str, prefix: str, row: str, value: Any) -> str | None:
        suffixes = self._columns.setdefault((key, prefix), {})
        if row in suffixes:
            return suffixes[row]
        if row == "int" and "float" in suffixes and abs(value) <= _EXACT:
            return suffixes["float"]
        if row == "float" and "int" in suffixes:
            # A dataset that began as 0 and goes on as 0.5 is one column.
            item = self._datasets[f"{key}/{prefix}value{suffixes['int']}"]
            if all(abs(number) <= _EXACT for number in item.value):
                item.value = [float(number) for number in item.value]
                item.generation = -self._number
                suffixes["float"] = suffixes.pop("int")
                return suffixes["float"]
        if len(suffixes) >= MOST_TYPES:
            return None
        suffixes[row] = f"_{len(suffixes) + 1}" if suffixes else ""
        return suffixes[row]

    def _stamp(self, record: Record, prefix: str, suffix: str) -> None:
        self._add(f"{record.key}/{prefix}time{suffix}", record.time, record, {"unit": "s"})
        self._add(f"{record.key}/{prefix}order{suffix}", self._number, record, {})

    def _add(self, name: str, value: Any, record: Record, metadata: dict[str, Any] | None = None) -> None:
        item = self._datasets.get(name)
        if item is None:
            item = self._datasets[name] = Item([], metadata or {}, generation=self._number)
        if (
            name.rpartition("/")[2].startswith("value")
            and record.metadata
            and item.metadata != record.metadata
        ):
            item.metadata = dict(record.metadata)
            item.generation = -self._number
        if item.value and type(item.value[-1]) is float and type(value) is int:
            value = float(value)
        item.value.append(value)
        item.time, item.changed = record.time, self._number


def _plain(value: Any) -> Any:
    """Return the Python number that is in a NumPy scalar, anything else as it is."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufc" and value.dtype.itemsize <= 16:
        return value.item()
    return value


def _is_flat(items: list[Any]) -> bool:
    """Return whether the items of a list can be rows of one column."""
    return not items or {type(item) for item in items} <= {int, float} or list_row(items) is not None

"""Reads a recording back: every change of a dataset in order, and its value at any moment."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from rexec.results.errors import ResultsError
from rexec.results.reading.runs import Run
from rexec.wire import pyon

_COLUMN: Final = re.compile(
    r"(?P<prefix>(other_)?(items_|lists_|mutations_at_|mutations_|deleted_)?)(?P<name>value|time|order|index|length)(?P<suffix>(_\d)?)"
)

What: TypeAlias = Literal["set", "append", "mutate", "delete"]


@dataclass(frozen=True)
class Change:
    """One change of a dataset.

    Attributes:
        order: Its place in the recording: it grows from change to change, across all datasets of the file.
        time: When it was received, in seconds since the epoch.
        what: What was done.
        value: What was set, appended, or put at `index`; None where it was deleted.
        index: Where in the dataset, of a "mutate".
        is_found: It was found by comparing with what there was at `time`, not received when it was made.

    """

    order: int
    time: float
    what: What
    value: Any = None
    index: Any = None
    is_found: bool = False


def recorded_keys(run: Run) -> list[str]:
    """Return the names of the datasets whose changes a file holds."""
    return list(dict.fromkeys(name.rpartition("/")[0] for name in run.datasets))


def changes(run: Run, key: str) -> list[Change]:
    """Return every change of a dataset in the order in which they were received.

    Raises:
        ResultsError: The file has no such dataset, or is no recording.

    """
    tables = _tables(run, key)
    if not tables:
        raise ResultsError(
            f"{run.path} records no dataset {key!r}; it has {', '.join(recorded_keys(run)) or 'none'}"
        )
    found = _found(run)
    items: dict[int, list[Any]] = {}
    made: list[Change] = []
    for (prefix, _), table in tables.items():
        for order, time, value, index in _rows(prefix, table):
            if "items_" in prefix:
                items.setdefault(order, []).append((time, value))
            else:
                made.append(Change(order, time, _what(prefix), value, index, found(order)))
    made = [_with_items(change, items.pop(change.order, [])) for change in made]
    for order, appended in items.items():
        made += [Change(order, time, "append", value, None, found(order)) for time, value in appended]
    return sorted(made, key=lambda change: change.order)


def value_at(run: Run, key: str, time: float) -> Any:
    """Return what a dataset held at a moment, given in seconds since the epoch.

    Raises:
        KeyError: It was not there then.
        ResultsError: The file has no such dataset, or is no recording.

    """
    holder: dict[str, Any] = {}
    for change in changes(run, key):
        if change.time > time:
            break
        apply(holder, key, change)
    return holder[key]


def apply(holder: dict[str, Any], key: str, change: Change) -> None:
    """Carry out a change of a dataset in `holder`, a dict of values by name."""
    if change.what == "set":
        holder[key] = change.value
    elif change.what == "delete":
        holder.pop(key, None)
    elif change.what == "append":
        holder[key].append(change.value)
    else:
        holder[key][change.index] = change.value


def comparisons(run: Run) -> list[dict[str, Any]]:
    """Return when the recorder compared what it held with what there was.

    Returns:
        Of each: `time`, `reason`, `lost` (since when nothing had been received, None where nothing was missed),
        `changes` (how many differences were found; they follow at once) and `order`.

    """
    if "rexec/comparisons" not in run.file:
        return []
    found: list[dict[str, Any]] = pyon.decode(run.file["rexec/comparisons"].asstr()[()])
    return found


def _tables(run: Run, key: str) -> dict[tuple[str, str], dict[str, Any]]:
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for name, stored in run.datasets.items():
        owner, _, column = name.rpartition("/")
        part = _COLUMN.fullmatch(column)
        if owner == key and part is not None:
            tables.setdefault((part["prefix"], part["suffix"]), {})[part["name"]] = stored.value
    for table in tables.values():
        lengths = {len(column) if hasattr(column, "__len__") else -1 for column in table.values()}
        if not {"order", "time"} <= table.keys() or len(lengths) > 1 or -1 in lengths:
            raise ResultsError(
                f"the recording of {key!r} in {run.path} is damaged: a column of its changes is missing or too short"
            )
    return tables


def _rows(prefix: str, table: dict[str, Any]) -> Iterator[tuple[int, float, Any, Any]]:
    count = len(table["order"])
    values = table.get("value", [None] * count)
    if prefix.startswith("other_"):
        values = [pyon.decode(text) for text in values]
    if prefix == "lists_":
        values = [[] for _ in range(count)]
    indexes = table.get("index", [None] * count)
    if prefix.endswith("mutations_at_"):
        indexes = [pyon.decode(text) for text in indexes]
    yield from zip(table["order"], table["time"], values, indexes, strict=True)


def _what(prefix: str) -> What:
    if "mutations_" in prefix:
        return "mutate"
    return "delete" if prefix == "deleted_" else "set"


def _with_items(change: Change, items: list[Any]) -> Change:
    if not items:
        return change
    value = [value for _, value in items]
    return Change(change.order, change.time, change.what, value, change.index, change.is_found)


def _found(run: Run) -> Any:
    ranges = [(each["order"], each["order"] + each["changes"]) for each in comparisons(run)]
    first, last = (
        (np.array(column) for column in zip(*ranges, strict=True)) if ranges else (np.array([]),) * 2
    )
    return lambda order: bool(np.any((first < order) & (order <= last)))

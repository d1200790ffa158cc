"""What a journal adds up to: the state of a run, as a pure fold over its records that takes any record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from reprlib import Repr
from typing import Any, ClassVar, Final

import numpy as np

from rexec.ground.plain import Unreadable
from rexec.results.item import Item, RowsReleased
from rexec.results.journal.records import Kind, Record
from rexec.results.storage_settings import checked_settings

MOST_PROBLEMS: Final = 500
"""Problems that are listed; a journal of garbage has one a record."""


@dataclass
class RunState:
    """Everything that a journal says so far.

    Attributes:
        identity: Fields of `schemas.RunIdentity`, each of its type.
        datasets: What belongs under `datasets/`.
        archive: What belongs under `archive/`.
        notes: Further facts by name, such as which dataset to plot.
        end: How the run ended; None while it goes on, or where it was cut off.
        records: How many records of the journal were folded.
        size: Bytes of the journal that were folded.
        last_time: Time of the last record, seconds since the epoch.
        problems: Changes that could not be carried out, as text.
        degraded: What of the run is not as it was asked for, a line each; the values are None.
        unreadable: How many records are whole but could not be read.
        outdated: Datasets of which a value was superseded or lost and is not there any more, until the next one is
            read: as they were before, and not changed further.
        epoch: How often a file was brought up to date; changes in place are dated by it.

    """

    identity: dict[str, Any] = field(default_factory=dict)
    datasets: dict[str, Item] = field(default_factory=dict)
    archive: dict[str, Item] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    records: int = 0
    size: int = 0
    last_time: float = 0.0
    problems: list[str] = field(default_factory=list)
    degraded: dict[str, None] = field(default_factory=dict)
    unreadable: int = 0
    outdated: set[str] = field(default_factory=set)
    epoch: int = 0
    _version: int = 0

    def apply(self, record: Record) -> None:
        """Take in the next record; what is wrong with it is a problem, never an error.

        Raises:
            RowsReleased: It changes rows that are in the files alone; this state is of no use any more.

        """
        self.records = record.number
        self._version += 1
        if record.time > self.last_time:
            self.last_time = record.time
        self._ACTIONS[record.kind](self, record)

    @property
    def has_released(self) -> bool:
        """Whether rows of a list are in the files alone."""
        return any(item.released for item in self.datasets.values())

    def add_problem(self, text: str) -> None:
        """Note what is missing or wrong."""
        text = _storable(text)
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append("there are more problems, which are not listed")

    def _identity(self, record: Record) -> None:
        if not isinstance(record.value, dict):
            self.add_problem(f"an identity cannot be {_shown(record.value)}")
            return
        for name, value in record.value.items():
            if _is_field(name) and _FIELDS.get(name, _is_anything)(value):
                self.identity[name] = _plain(value) if name not in _FIELDS else value
            else:
                self.add_problem(f"the identity's field {_shown(name)} cannot be {_shown(value)}")

    def _set(self, record: Record) -> None:
        # Removed first, so that datasets stand in the order in which they were set last.
        self.datasets.pop(record.key, None)
        self.outdated.discard(record.key)
        if record.archive:
            self.datasets[record.key] = self._item(record)

    def _archive(self, record: Record) -> None:
        self.archive[record.key] = self._item(record)

    def _delete(self, record: Record) -> None:
        self.datasets.pop(record.key, None)
        self.outdated.discard(record.key)

    def _superseded(self, record: Record) -> None:
        if record.index is not Kind.ARCHIVE:
            self.outdated.add(record.key)

    def _item(self, record: Record) -> Item:
        metadata = record.metadata
        if not isinstance(metadata, dict) or not all(isinstance(name, str) for name in metadata):
            self.add_problem(f"{record.key}: its metadata cannot be {_shown(metadata)}")
            metadata = {}
        return Item(
            record.value,
            dict(metadata),
            record.origin,
            record.broadcast,
            record.persist,
            record.time,
            self._version,
            self._version,
        )

    def _append(self, record: Record) -> None:
        if record.key in self.outdated:
            return
        item = self.datasets.get(record.key)
        if item is None:
            self.add_problem(f"{record.key}: was appended to, but never set; what was appended is kept")
            item = self.datasets[record.key] = self._item(record._replace(value=[], metadata={}))
        item.time, item.changed = record.time, self._version
        if isinstance(item.value, list):
            item.value.append(record.value)
        else:
            self.add_problem(f"{record.key}: nothing can be appended to a {type(item.value).__name__}")

    def _mutate(self, record: Record) -> None:
        if record.key in self.outdated:
            return
        item = self.datasets.get(record.key)
        if item is None:
            self.add_problem(f"{record.key}[{_shown(record.index)}]: was changed, but never set")
            return
        if item.released:
            raise RowsReleased
        before = len(item.value) if isinstance(item.value, list) else None
        try:
            item.value[record.index] = record.value
        except Exception as error:  # NumPy raises errors of any class for an index that makes no sense
            self.add_problem(f"{record.key}[{_shown(record.index)}] could not be set: {error!s:.200}")
            return
        item.time, item.changed = record.time, self._version
        rows = _rows(item.value, record.index)
        if rows is None or (before is not None and before != len(item.value)):
            item.generation = -self._version
            item.edits.clear()
        else:
            item.edit(self.epoch, *rows)

    def _note(self, record: Record) -> None:
        if record.key == "degraded":
            self._degraded(record.value)
        elif record.key == "storage":
            self.notes["storage"] = self._storage(record.value)
        elif record.key == "plot" and not _is_plot(record.value):
            self.add_problem(f"the default plot cannot be {_shown(record.value)}")
        else:
            self.notes[record.key] = record.value

    def _degraded(self, value: Any) -> None:
        if not (
            isinstance(value, dict)
            and isinstance(value.get("text"), str)
            and isinstance(value.get("holds"), bool)
        ):
            self.add_problem(f"a degraded state cannot be {_shown(value)}")
            return
        text = one_line(value["text"])
        if not value["holds"]:
            self.degraded.pop(text, None)
        elif len(self.degraded) < MOST_PROBLEMS or text in self.degraded:
            self.degraded[text] = None
        else:
            self.add_problem(f"there are more degraded states: {_shown(text)}")

    def _storage(self, value: Any) -> dict[str, dict[str, Any]]:
        settings: dict[str, dict[str, Any]] = {}
        try:
            for key, given in value.items():
                settings[str(key)] = checked_settings(str(key), given)
        except Exception as error:  # whatever is not what `set_storage` has checked
            self.add_problem(f"storage settings cannot be {_shown(value)}: {error!s:.200}")
        return settings

    def _end(self, record: Record) -> None:
        if isinstance(record.value, dict):
            given = {name: record.value.get(name) for name in ("status", "error")}
            texts = {
                name: _shown(each) for name, each in given.items() if type(each) not in {str, type(None)}
            }
            self.end = record.value | texts
        else:
            self.add_problem(f"the end of the run cannot be {_shown(record.value)}")

    def _lost(self, record: Record) -> None:
        # Of what a sync has promised, the value before is there still: it stays.
        self._note_unreadable(record)
        if record.index is Kind.SET:
            self.outdated.add(record.key)

    def _note_unreadable(self, record: Record) -> None:
        self.unreadable += 1
        self.add_problem(f"{record.key}: {record.value}" if record.key else str(record.value))

    def _unreadable(self, record: Record) -> None:
        self._note_unreadable(record)
        if record.index is not None and record.index in {Kind.SET, Kind.ARCHIVE}:
            # What was set before must not be taken for what was set then.
            lost = Unreadable(str(record.value), "rexec.results.lost")
            self.apply(record._replace(kind=record.index, value=lost, metadata={}, index=None))

    _ACTIONS: ClassVar[dict[Kind, Callable[..., None]]] = {
        Kind.UNREADABLE: _unreadable,
        Kind.SUPERSEDED: _superseded,
        Kind.LOST: _lost,
        Kind.IDENTITY: _identity,
        Kind.SET: _set,
        Kind.APPEND: _append,
        Kind.MUTATE: _mutate,
        Kind.DELETE: _delete,
        Kind.ARCHIVE: _archive,
        Kind.NOTE: _note,
        Kind.END: _end,
    }


def one_line(text: str) -> str:
    """Return a text as HDF5 takes it, in one line."""
    return " ".join(_storable(text).split())


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


_REPR: Final = Repr()


def _shown(value: Any) -> str:
    try:
        return _REPR.repr(value)[:200]
    except Exception:  # an int of over 4,300 digits, for one, has no repr
        return f"<{type(value).__name__}>"


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15


def _is_anything(_: Any) -> bool:
    return True


_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "rid": lambda value: type(value) is int and 0 <= value < 2**63,
    "start_time": _is_time,
    "run_time": lambda value: value is None or _is_time(value),
    "artiq_version": lambda value: isinstance(value, str),
    "sources": lambda value: (
        isinstance(value, dict)
        and all(type(text) is str and _is_word(digest) for digest, text in value.items())
    ),
}

_TAKEN: Final = frozenset({"comparisons", "degraded", "error", "gaps", "plot", "problems"})
"""What else is in `/rexec` of a file, beside the fields of the identity."""


def _is_word(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.replace("_", "a").isalnum()


def _is_field(name: Any) -> bool:
    return _is_word(name) and name not in _TAKEN


def _plain(value: Any) -> Any:
    """Return a field of the identity as HDF5 takes it: what is in a dict or list is written as text anyhow."""
    if value is None or type(value) in {str, bool, float, dict, list} or _is_int64(value):
        return value
    return list(value) if type(value) is tuple else _shown(value)


def _is_int64(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_plot(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("signal"), str)
        and isinstance(value.get("axes", []), list)
        and all(isinstance(axis, str) for axis in value.get("axes", []))
    )


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

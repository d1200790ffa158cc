"""One dataset of a laboratory as the page follows it: its value, and what is needed to tell what is new in it."""

from typing import Any, Final, NamedTuple

import numpy as np

from devicedb.printable import printable
from rexec.datasets.values import same
from rexec.ground.quantities import Display, display_of
from rexec.results.reading.shown import shown, summary
from rexec.web.history import History
from rexec.web.labels import label
from rexec.web.rows import NumberRows
from rexec.web.touched import TouchedRows

_TEXT_LENGTH: Final = 80


class MasterEntry(NamedTuple):
    """What a master has under a name."""

    persist: bool
    value: Any
    metadata: dict[str, Any]

    @classmethod
    def received(cls, given: Any) -> "MasterEntry":
        """Return what a master has sent: (persist, value) or (persist, value, metadata); anything else as a value."""
        if not isinstance(given, list | tuple) or len(given) < 2:
            return cls(False, given, {})
        persist, value, *rest = given
        metadata = rest[0] if rest and isinstance(rest[0], dict) else {}
        return cls(persist is True, value, metadata)


class LiveDataset:
    """A dataset and its changes.

    Args:
        number: What browsers call it: short, and never used again for another one.
        key: Its name; an experiment may have taken a number for it.

    Attributes:
        name: Its name as text.
        label: The same as browsers show it.
        born: Version in which it was last set anew.
        version: Version of its last change.
        updates: How often it was set or changed inside; appends do not count.
        changed: Time of its last change, in seconds since the epoch.

    """

    def __init__(self, number: int, key: Any) -> None:
        self.number: Final = number
        self.key: Final = key
        self.name: Final = key if isinstance(key, str) else f"{key!r} ({type(key).__name__})"
        self.label: Final = label(self.name)
        self.persist = False
        self.value: Any = None
        self.metadata: dict[str, Any] = {}
        self.born = self.version = self.updates = 0
        self.changed = 0.0
        self.touched = TouchedRows()
        self.history: History | None = None
        self._rows = NumberRows(None)
        self._row: tuple[int, list[Any]] = (-1, [])

    def set(self, entry: MasterEntry, version: int, now: float) -> None:
        """Take a new value."""
        self.persist, self.value, self.metadata = entry
        self._rows, self.touched = NumberRows(self.value), TouchedRows()
        self.born = self.version = version
        self.updates += 1
        self.changed = now
        number = _real(self.value)
        if number is not None:
            self.history = self.history or History()
            self.history.add(now, number)

    def is_same(self, entry: MasterEntry) -> bool:
        """Return whether it has this value already."""
        present = (self.persist, self.metadata, self.value)
        return same(present, (entry.persist, entry.metadata, entry.value))

    def adopt(self, entry: MasterEntry) -> None:
        """Take a value that is equal to the present one, and will change in its place."""
        self.value = entry.value
        self._rows = NumberRows(self.value)

    def appended(self, version: int, now: float) -> None:
        """Note that its value, a list, has more items."""
        self.version, self.changed = version, now

    def rows_changed(self, start: int, stop: int, version: int, now: float) -> None:
        """Note that some rows of its value were set."""
        self._rows.touched(start, stop)
        self.touched.add(version, start, stop)
        self.version, self.changed = version, now
        self.updates += 1

    @property
    def display(self) -> Display:
        """How its numbers are shown."""
        return display_of(self.metadata)

    def rows(self) -> "np.ndarray[Any, Any] | None":
        """Return its numbers with one or more dimensions; None: it has none."""
        return self._rows.array()

    def kind(self) -> str:
        """Return how it is shown: "number", "line", "lines", "image" or "text"."""
        rows = self.rows()
        if rows is not None:
            return kind_of(rows.shape, is_list=isinstance(self.value, list))
        return "number" if _real(self.value) is not None else "text"

    def row(self) -> list[Any]:
        """Return its line in the list of datasets: see docs/reference/web-protocol.md."""
        if self._row[0] != self.version:
            self._row = self.version, self._made_row()
        return self._row[1]

    def _made_row(self) -> list[Any]:
        rows, display, kind = self.rows(), self.display, self.kind()
        if rows is None:
            text, unit = shown(self.value, self.metadata, _TEXT_LENGTH)
        else:
            text, unit = summary(str(rows.dtype), rows.shape, None, display), printable(display.unit)
            if rows.ndim == 1 and rows.size and rows.dtype.kind in "iuf" and not np.isnan(rows[-1]):
                text += f", last {display.number(rows[-1])}"
        shape = None if rows is None else list(rows.shape)
        return [self.number, self.label, kind, text, unit[:40], self.persist, self.changed, shape]


def kind_of(shape: tuple[int, ...], *, is_list: bool) -> str:
    """Return how numbers of a shape are shown best.

    Args:
        shape: The shape, of at least one dimension.
        is_list: Whether they are rows that were appended one by one (points by ions).

    """
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return "line"
    if len(shape) == 2 and shape[1] <= 12 and (is_list or shape[0] > 4 * shape[1]):
        return "lines"
    return "image" if min(shape[-2:]) > 1 else "line"


def _real(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:
            return None
    return None

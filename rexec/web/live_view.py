"""A plot of live datasets in one browser: what it wants, what it has, and what is new for it."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from devicedb.printable import printable
from rexec.ground.quantities import Display
from rexec.web import plotted
from rexec.web.decimation import step_for
from rexec.web.live_dataset import LiveDataset
from rexec.web.live_datasets import LiveDatasets
from rexec.web.plotted import MOST_COLUMNS, Part, may_be_axis

_log = logging.getLogger(__name__)

KINDS: Final = frozenset({"auto", "line", "lines", "image", "histogram", "history"})
MOST_POINTS: Final = 20_000
_PAUSE: Final = 8.0
"""Least time between two looks at one plot, as a multiple of what a look costs."""


@dataclass(frozen=True)
class Wanted:
    """What a browser wants to see: a dataset (by number), against which, and how."""

    dataset: int
    axis: int | None = None
    kind: str = "auto"
    most: int = 4000
    complex_as: str = "re_im"


@dataclass(frozen=True)
class Had:
    """What a browser has of a plot; it sends that back to go on after its connection was lost."""

    version: int
    born: tuple[int, int]
    kind: str
    rows: int
    step: int
    updates: int

    def sent(self) -> list[Any]:
        """Return it as a browser keeps it."""
        return [self.version, *self.born, self.kind, self.rows, self.step, self.updates]

    @classmethod
    def received(cls, given: Any) -> "Had | None":
        """Return what a browser has kept; None: it is nothing that `sent` returns."""
        if not isinstance(given, list) or len(given) != 7 or not isinstance(given[3], str):
            return None
        numbers = [*given[:3], *given[4:]]
        if not all(isinstance(each, int) and 0 <= each < 1 << 53 for each in numbers) or given[5] < 1:
            return None
        return cls(given[0], (given[1], given[2]), given[3], given[4], given[5], given[6])


class LiveView:
    """One plot of one browser.

    Args:
        name: What the browser calls it.
        wanted: What it shows.
        had: What the browser has already.

    """

    def __init__(self, name: str, wanted: Wanted, had: Had | None = None) -> None:
        self.name: Final = name
        self.wanted: Final = wanted
        self._had = had
        self._ready_at = 0.0

    def wait(self) -> float:
        """Return the seconds until it may be looked at again: a plot that is slow to make is made less often."""
        return max(self._ready_at - time.monotonic(), 0.0)

    def is_due(self, datasets: LiveDatasets) -> bool:
        """Return whether there is something new."""
        dataset = datasets.get(self.wanted.dataset)
        if dataset is None:
            return self._had is None or self._had.rows >= 0
        return self._had is None or self._version(datasets, dataset) > self._had.version

    def news(self, datasets: LiveDatasets) -> Part | None:
        """Return what is new, and take it as seen; None: nothing."""
        if not self.is_due(datasets):
            return None
        began = time.perf_counter()
        dataset = datasets.get(self.wanted.dataset)
        if dataset is None:
            self._had = Had(0, (0, 0), "gone", -1, 1, 0)
            return Part({"name": self.name, "op": "gone"}, [])
        try:
            found = self._part(datasets, dataset)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A value may be anything. One that cannot be drawn costs its plot, and not the connection.
            _log.warning(
                "the dataset %s cannot be drawn: %s: %s",
                printable(dataset.name[:100]),
                type(error).__name__,
                printable(str(error)[:200]),
            )
            self._had = Had(
                self._version(datasets, dataset), (dataset.born, 0), "text", 0, 1, dataset.updates
            )
            found = Part({"name": self.name, "kind": "text", "dataset": dataset.number, "op": "text"}, [])
        self._ready_at = time.monotonic() + _PAUSE * (time.perf_counter() - began)
        assert self._had is not None  # noqa: S101  # _part has set it
        return Part({**found.facts, "had": self._had.sent()}, found.arrays)

    def _axis(self, datasets: LiveDatasets, rows: int) -> LiveDataset | None:
        axis = None if self.wanted.axis is None else datasets.get(self.wanted.axis)
        along = None if axis is None else axis.rows()
        return axis if along is not None and may_be_axis(along.shape, along.dtype, rows) else None

    def _version(self, datasets: LiveDatasets, dataset: LiveDataset) -> int:
        axis = None if self.wanted.axis is None else datasets.get(self.wanted.axis)
        return max(dataset.version, 0 if axis is None else axis.version)

    def _part(self, datasets: LiveDatasets, dataset: LiveDataset) -> Part:
        kind = dataset.kind() if self.wanted.kind == "auto" else self.wanted.kind
        rows = dataset.rows()
        is_history = kind in ("number", "history") and dataset.history is not None and rows is None
        if rows is None and not is_history:
            kind = "text"
        elif kind == "image" and rows is not None and (rows.ndim < 2 or not rows.size):
            kind = "line"
        version, display = self._version(datasets, dataset), dataset.display
        facts: dict[str, Any] = {
            "name": self.name,
            "kind": "history" if is_history else kind,
            "dataset": dataset.number,
        }
        facts |= {"unit": printable(display.unit[:40]), "precision": display.precision}
        if is_history:
            return self._history(dataset, facts, version)
        if rows is None:
            self._had = Had(version, (dataset.born, 0), kind, 0, 1, dataset.updates)
            return Part({**facts, "op": "text"}, [])
        facts |= {"shape": list(rows.shape), "dtype": str(rows.dtype)}
        axis = self._axis(datasets, len(rows)) if kind in ("line", "lines") else None
        same = self._had is not None and self._had.kind == kind
        born = (dataset.born, 0 if axis is None else axis.born)
        same = same and self._had is not None and self._had.born == born
        step = step_for(len(rows), self.wanted.most) if kind in ("line", "lines") else 1
        same = same and self._had is not None and self._had.step == step
        touched = self._touched(dataset, axis, len(rows)) if same else None
        skipped = (
            max(dataset.updates - self._had.updates - 1, 0)
            if self._had is not None and touched is None
            else 0
        )
        self._had = Had(version, born, kind, len(rows), step, dataset.updates)
        facts |= {"skipped": skipped, "is_whole": touched is None}
        if kind == "histogram":
            found = plotted.histogram(rows, display.scale)
        elif kind == "image":
            found = plotted.image(rows, display.scale, touched)
        else:
            return self._line(facts, rows, axis, display, step, touched)
        return Part({**facts, **found.facts}, found.arrays)

    def _line(
        self,
        facts: dict[str, Any],
        rows: "np.ndarray[Any, Any]",
        axis: LiveDataset | None,
        display: Display,
        step: int,
        touched: tuple[int, int] | None,
    ) -> Part:
        along = None if axis is None else axis.rows()
        columns = int(np.prod(rows.shape[1:], dtype=np.int64))
        if axis is not None:
            facts |= {"against": axis.number, "axis_unit": printable(axis.display.unit[:40])}
        facts |= {"columns": min(columns, MOST_COLUMNS), "left_out": max(columns - MOST_COLUMNS, 0)}
        found = plotted.points(
            lambda start, stop: rows[start:stop],
            None if along is None else lambda start, stop: along[start:stop],
            len(rows),
            step,
            (0, len(rows)) if touched is None else touched,
            (display.scale, 1.0 if axis is None else axis.display.scale),
            self.wanted.complex_as,
        )
        return Part({**facts, **found.facts}, found.arrays)

    def _history(self, dataset: LiveDataset, facts: dict[str, Any], version: int) -> Part:
        assert dataset.history is not None  # noqa: S101  # the caller has checked
        rows, dropped = dataset.history.rows(), dataset.history.dropped
        had = self._had
        same = had is not None and had.kind == "history" and had.born == (dropped, 0)
        begin = had.rows if same and had is not None else 0
        self._had = Had(version, (dropped, 0), "history", len(rows), 1, dataset.updates)
        scale = dataset.display.scale
        found = plotted.points(
            lambda start, stop: rows[start:stop, 1], lambda start, stop: rows[start:stop, 0],
            len(rows), 1, (begin, len(rows)), (scale, 1.0),
        )  # fmt: skip
        return Part({**facts, **found.facts, "is_whole": not same, "columns": 1, "skipped": 0}, found.arrays)

    def _touched(self, dataset: LiveDataset, axis: LiveDataset | None, rows: int) -> tuple[int, int] | None:
        """Return the rows that are new for the browser; None: all."""
        assert self._had is not None  # noqa: S101  # the caller has checked
        ranges = [] if rows == self._had.rows else [(min(self._had.rows, rows), rows)]
        for each in (dataset, axis):
            found = (0, 0) if each is None else each.touched.since(self._had.version)
            if found is None or rows < self._had.rows:
                return None
            if found[1] > found[0]:
                ranges.append((found[0], min(found[1], rows)))
        if not ranges:
            return rows, rows
        return min(start for start, _ in ranges), max(stop for _, stop in ranges)

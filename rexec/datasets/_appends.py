"""Appends to the lists of a run: of numbers by an object that is bound to the list, of anything else step by step."""

import threading
from typing import Any, Final

import numpy as np

from rexec.datasets._agreement import Agreement
from rexec.datasets._shown import Shown
from rexec.datasets.changes import check_appendable
from rexec.datasets.database import DatasetDB
from rexec.datasets.errors import DatasetError, check_process
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore, ListAppender
from rexec.ground import forks
from rexec.ground.reentry import refuse_reentry

_NUMBERS: Final = frozenset({float, int, np.float64, np.int64})
"""What sinks append in few steps."""


class Appends:
    """Keeps, shows and remembers what is appended. The lock is held by whoever calls it.

    Args:
        db: The database.
        sink: Where changes are kept.
        agreement: Is told of what is kept, and settles what raised.
        shown: What the database shows.
        lock: The manager's.

    Attributes:
        bound: What appends numbers to a list, by the name of the list. Whoever uses it holds no lock, so whoever
            changes the dataset in any other way calls `forget` first.
        show_number: Has the database show that a number was appended to a list.

    """

    def __init__(
        self, db: DatasetStore, sink: DatasetSink, agreement: Agreement, shown: Shown, lock: "threading.RLock"
    ) -> None:
        self._db: Final = db
        self._sink: Final = sink
        self._agreement: Final = agreement
        self._shown: Final = shown
        self.lock: Final[Any] = lock
        self.show_number: Final = db.append_number if isinstance(db, DatasetDB) else self._show
        self.bound: Final[dict[str, ListAppender]] = {}

    def forget(self, key: str) -> None:
        """Stop what appends to a dataset: it is about to be changed."""
        bound = self.bound.pop(key, None)
        if bound is not None:
            bound.stop()

    def append(self, key: str, dataset: Dataset, own: Any) -> None:
        """Append a value to a dataset, everywhere or nowhere; raise TypeError where it is no list."""
        items, is_shown = dataset.value, key in self._shown.keys
        check_appendable(key, items)
        count, position = len(items), self._sink.position
        try:
            kept = self._sink.append(key, own, origin="run")
            items.append(own if is_shown else kept)
            if is_shown:
                self._show(key, own)
        except BaseException as error:
            self.settle(error, position, key, dataset, count, own)
            raise
        if self._agreement.lacks:
            self._agreement.note_kept(key, dataset)
        if type(own) in _NUMBERS and not dataset.persist:
            appender = self._sink.appender(key, items)
            if appender is not None:
                self.bound[key] = _ShownList(self, key, dataset, appender) if is_shown else appender

    def _show(self, key: str, value: Any) -> None:
        self._db.update({"action": "append", "path": [key, 1], "x": value})

    def settle(
        self, error: BaseException, position: int, key: str, dataset: Dataset, count: int, own: Any
    ) -> None:
        """Complete an append that raised, or take it back: see `Agreement.settle`."""
        items = dataset.value

        def undo() -> None:
            del items[count:]

        def redo() -> None:
            items[count:] = [own]
            self._shown.show(key, dataset)

        self._agreement.settle(error, position, redo, undo, key, dataset, dataset)


class _ShownList:
    """Appends numbers to a list that the database shows, too."""

    __slots__ = ("_appender", "_appends", "_dataset", "_generation", "_key")

    def __init__(self, appends: Appends, key: str, dataset: Dataset, appender: ListAppender) -> None:
        self._appends = appends
        self._key = key
        self._dataset = dataset
        self._appender = appender
        self._generation = forks.generation

    def append(self, value: Any) -> bool:
        check_process(self._generation)  # in a fork, the lock may be another thread's for ever
        appends, key, items = self._appends, self._key, self._dataset.value
        refuse_reentry(appends.lock, DatasetError, key)
        with appends.lock:
            count = len(items)
            try:
                if not self._appender.append(value):
                    return False
                appends.show_number(key, value)
            except BaseException as error:
                if len(items) > count:  # it was kept
                    appends.settle(error, -1, key, self._dataset, count, value)
                raise
        return True

    def stop(self) -> None:
        self._appender.stop()

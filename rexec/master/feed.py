"""Publishes the changes of a dataset database, which any thread may make, through the master's event loop."""

import asyncio
import logging
from typing import Any, Final

from rexec.datasets import DatasetDB, DatasetError, Entry, Mod, Origin
from rexec.datasets.values import own_copy
from rexec.wire import pyon, pyon_v1
from rexec.wire.sync_struct import Notifier, process_mod

_log = logging.getLogger(__name__)

LIMIT: Final = 10_000
"""Maximum number of queued changes; beyond it, only the latest value of each dataset is published."""


class Feed:
    """Keeps a notifier equal to a database. Belongs to the event loop in which it is made.

    The notifier holds copies of all values, so that no value changes while it is encoded. A thread that changes
    datasets faster than the loop publishes them neither waits nor fills the memory.

    Args:
        db: The database. It calls its listeners under its lock, which also guards the queue of this class.
        limit: Maximum number of queued changes.
        has_metadata: Whether an entry is (persist, value, metadata), or (persist, value) as up to ARTIQ 7.
        is_v1: Whether it is sent in PYON v1.

    """

    def __init__(
        self, db: DatasetDB, limit: int = LIMIT, *, has_metadata: bool = True, is_v1: bool = False
    ) -> None:
        self._db: Final = db
        self._limit: Final = limit
        self._parts: Final = 3 if has_metadata else 2
        self._check: Final = pyon_v1.check if is_v1 else pyon.check
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: list[Mod] = []
        self._stale: dict[str, None] = {}
        self._scheduled = False
        self._unsendable: set[str] = set()
        self.skipped = 0
        """Number of changes that were not published one by one, because the queue was full."""
        with db.lock:
            present = db.subscribe(self._changed)
        self.notifier: Final = Notifier({key: self._sendable(key, entry) for key, entry in present.items()})

    def close(self) -> None:
        """Unsubscribe from the database."""
        self._db.unsubscribe(self._changed)

    def _changed(self, mod: Mod, origin: Origin) -> None:
        key = mod["path"][0] if mod["path"] else mod["key"]
        if key in self._stale:
            self.skipped += 1
        elif len(self._waiting) >= self._limit:
            self.skipped += len(self._waiting) + 1
            self._stale.update(dict.fromkeys(_key(each) for each in self._waiting))
            self._stale[key] = None
            self._waiting.clear()
        else:
            self._waiting.append(
                {name: own_copy(part) if name in {"x", "value"} else part for name, part in mod.items()}
            )
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._show)
            except RuntimeError:
                _log.debug("the event loop is closed: the datasets have no subscribers any more")

    def _show(self) -> None:
        with self._db.lock:
            waiting, self._waiting = self._waiting, []
            stale, self._stale = self._stale, {}
            latest = {key: self._entry(key) for key in stale}
            self._scheduled = False
        # Changes that wait are sent after the latest value: see `_changed`.
        for key, entry in latest.items():
            self._show_whole(key, entry)
        for mod in waiting:
            if _key(mod) not in latest and not self._show_change(mod):
                latest[_key(mod)] = self._start_over(_key(mod))

    def _entry(self, key: str) -> Entry | None:
        try:
            return self._db.get_entry(key)
        except (KeyError, DatasetError) as error:
            _log.debug("dataset %s is not shown: %s", key, error)
            return None

    def _show_whole(self, key: str, entry: Entry | None) -> None:
        if entry is not None:
            self.notifier[key] = self._sendable(key, entry)
        elif key in self.notifier.raw_view:
            del self.notifier[key]

    def _show_change(self, mod: Mod) -> bool:
        """Publish one change; return False if the whole dataset must be published again."""
        key = _key(mod)
        try:
            if not mod["path"] and mod["action"] == "setitem":
                self._show_whole(key, mod["value"])
            else:
                self._check(mod.get("x", mod.get("value")))
                process_mod(self.notifier, mod)
        except (TypeError, ValueError, LookupError, AttributeError):
            return False  # the new or the present value has no encoding, and is published as text
        return True

    def _start_over(self, key: str) -> Entry | None:
        with self._db.lock:
            self._waiting = [mod for mod in self._waiting if _key(mod) != key]
            entry = self._entry(key)
        self._show_whole(key, entry)
        return entry

    def _sendable(self, key: str, entry: Entry) -> tuple[Any, ...]:
        """Return an entry as it can be sent: a value of the file that has no encoding in PYON v1 as its text."""
        try:
            self._check(entry)
        except (TypeError, ValueError) as error:
            if key not in self._unsendable:
                self._unsendable.add(key)
                _log.warning("dataset %s is sent to subscribers as text: %s", key, error)
            return (entry[0], repr(entry[1]), {})[: self._parts]
        return entry[: self._parts]


def _key(mod: Mod) -> str:
    key: Any = mod["path"][0] if mod["path"] else mod["key"]
    return str(key)

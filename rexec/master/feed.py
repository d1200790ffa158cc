"""Carries the changes of a dataset database, made in any thread, to those who follow the master's datasets."""

import asyncio
import logging
from typing import Any, Final

from rexec.datasets import DatasetDB, Entry, Mod, Origin
from rexec.datasets.values import own_copy
from rexec.wire import pyon
from rexec.wire.sync_struct import Notifier, process_mod

_log = logging.getLogger(__name__)

LIMIT: Final = 10_000
"""Changes that wait for the event loop; beyond it only the latest value of each dataset is shown."""


class Feed:
    """Keeps a notifier equal to a database. Belongs to the event loop in which it is made.

    The notifier has a copy of its own of every value, so that what is sent is never changed while it is encoded. A
    thread that changes datasets faster than the loop can show them does not wait, and does not fill the memory.

    Args:
        db: The database; its listeners are called under its lock, which guards what waits here.
        limit: Changes that may wait for the loop.
        has_metadata: Whether an entry is (persist, value, metadata), or (persist, value) as up to ARTIQ 7.

    """

    def __init__(self, db: DatasetDB, limit: int = LIMIT, *, has_metadata: bool = True) -> None:
        self._db: Final = db
        self._limit: Final = limit
        self._parts: Final = 3 if has_metadata else 2
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: list[Mod] = []
        self._stale: dict[str, None] = {}
        self._scheduled = False
        self._unsendable: set[str] = set()
        self.skipped = 0
        """Changes that were not shown one by one, because they came faster than the loop could take them."""
        with db.lock:
            present = db.subscribe(self._changed)
        self.notifier: Final = Notifier({key: self._sendable(key, entry) for key, entry in present.items()})

    def close(self) -> None:
        """Follow the database no longer."""
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
                _log.debug("the event loop is closed: nobody follows the datasets any more")

    def _show(self) -> None:
        with self._db.lock:
            waiting, self._waiting = self._waiting, []
            stale, self._stale = self._stale, {}
            latest = {key: self._entry(key) for key in stale}
            self._scheduled = False
        # What waits about a dataset comes after its latest value: see `_changed`.
        for key, entry in latest.items():
            self._show_whole(key, entry)
        for mod in waiting:
            if _key(mod) not in latest and not self._show_change(mod):
                latest[_key(mod)] = self._start_over(_key(mod))

    def _entry(self, key: str) -> Entry | None:
        try:
            return self._db.get_entry(key)
        except KeyError:
            return None

    def _show_whole(self, key: str, entry: Entry | None) -> None:
        if entry is not None:
            self.notifier[key] = self._sendable(key, entry)
        elif key in self.notifier.raw_view:
            del self.notifier[key]

    def _show_change(self, mod: Mod) -> bool:
        """Show one change; return False where the dataset has to be shown anew."""
        key = _key(mod)
        try:
            if not mod["path"] and mod["action"] == "setitem":
                self._show_whole(key, mod["value"])
            else:
                pyon.encode(mod.get("x", mod.get("value")))
                process_mod(self.notifier, mod)
        except (TypeError, ValueError, LookupError, AttributeError):
            return False  # it has no encoding, or the value that it changes has none and is shown as text
        return True

    def _start_over(self, key: str) -> Entry | None:
        with self._db.lock:
            self._waiting = [mod for mod in self._waiting if _key(mod) != key]
            entry = self._entry(key)
        self._show_whole(key, entry)
        return entry

    def _sendable(self, key: str, entry: Entry) -> tuple[Any, ...]:
        """Return an entry as it can be sent: a value without an encoding as its text."""
        try:
            pyon.encode(entry)
        except (TypeError, ValueError) as error:
            if key not in self._unsendable:
                self._unsendable.add(key)
                _log.warning("dataset %s is shown to followers as text: %s", key, error)
            return (entry[0], repr(entry[1]), {})[: self._parts]
        return entry[: self._parts]


def _key(mod: Mod) -> str:
    key: Any = mod["path"][0] if mod["path"] else mod["key"]
    return str(key)

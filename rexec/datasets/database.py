"""A dataset database: what an ARTIQ master keeps for its clients, usable from any thread."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from rexec.datasets._lmdb import PersistentStore
from rexec.datasets.changes import apply_mod, check_appendable
from rexec.datasets.types import Entry, Metadata, Mod, Origin
from rexec.datasets.values import own_copy

Listener: TypeAlias = Callable[[Mod, Origin], None]
"""Called with each modification after it was made, under the database's lock, in the order they were made."""


class DatasetDB:
    """Datasets by name, with those that persist in an LMDB file of ARTIQ's format.

    `get`, `get_metadata`, `set`, `update` and `delete` are those of ARTIQ's `dataset_db` target. A persistent
    dataset is on the disk before the call that changes it returns. Methods may be called from any thread.

    Args:
        path: LMDB file (ARTIQ: `dataset_db.mdb`), made where it is missing; None keeps everything in memory.

    Raises:
        DatabaseInUse: Another process has the file open for writing.
        DatabaseUnreadable: The file, or a value in it, is not what ARTIQ writes.

    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.lock: Final = threading.RLock()
        self._store = None if path is None else PersistentStore(Path(path))
        self._entries: dict[str, Entry] = {}
        self._listeners: list[Listener] = []
        if self._store is not None:
            try:
                for key, value, metadata in self._store.load():
                    self._entries[key] = (True, value, metadata)
            except BaseException:
                self._store.close()
                raise

    def __enter__(self) -> "DatasetDB":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path | None:
        """The LMDB file, if there is one."""
        return None if self._store is None else self._store.path

    def get(self, key: str) -> Any:
        """Return a copy of the value of a dataset, or raise KeyError."""
        with self.lock:
            return own_copy(self._entries[key][1])

    def get_metadata(self, key: str) -> Metadata:
        """Return a copy of the metadata of a dataset, or raise KeyError."""
        with self.lock:
            return dict(self._entries[key][2])

    def get_entry(self, key: str) -> Entry:
        """Return (persist, copy of the value, metadata) of a dataset, or raise KeyError."""
        with self.lock:
            persist, value, metadata = self._entries[key]
            return persist, own_copy(value), dict(metadata)

    def count(self) -> tuple[int, int]:
        """Return how many datasets there are, and how many of them persist."""
        with self.lock:
            return len(self._entries), sum(persist for persist, _, _ in self._entries.values())

    def snapshot(self) -> dict[str, Entry]:
        """Return a copy of everything, as a subscriber of an ARTIQ master gets it."""
        with self.lock:
            return {key: self.get_entry(key) for key in self._entries}

    def set(
        self,
        key: str,
        value: Any,
        persist: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        origin: Origin = "run",
    ) -> None:
        """Set a dataset.

        Args:
            key: Name of the dataset.
            value: Its value.
            persist: Keep it beyond this process; None: as before, for a new one no.
            metadata: Those given of unit, scale, precision; None: as before, for a new one none.
            origin: Who sets it.

        """
        if not isinstance(key, str):
            raise TypeError(f"the name of a dataset is a str, not {type(key).__name__}")
        own = own_copy(value)
        with self.lock:
            old = self._entries.get(key)
            if persist is None:
                persist = old is not None and old[0]
            if metadata is None:
                metadata = {} if old is None else old[2]
            entry: Entry = (bool(persist), own, dict(metadata))
            if self._store is not None:
                if entry[0]:
                    self._store.put(key, own, entry[2])
                elif old is not None and old[0]:
                    self._store.remove(key)
            self._entries[key] = entry
            self._tell({"action": "setitem", "path": [], "key": key, "value": entry}, origin)

    def update(self, mod: Mod, *, origin: Origin = "run") -> None:
        """Apply a modification as sync_struct writes it: `{"action": "append", "path": [key, 1], "x": 3}`.

        Raises:
            KeyError: There is no such dataset.
            TypeError, ValueError, IndexError: The modification does not fit the dataset, or is none.

        """
        own = {name: own_copy(part) if name in {"x", "value"} else part for name, part in dict(mod).items()}
        with self.lock:
            path = own.get("path")
            if not isinstance(path, list | tuple):
                raise ValueError(f"a modification has a path, a list: {mod!r:.200}")
            if not path:
                self._update_whole(own, origin)
                return
            key = path[0]
            persist, value, metadata = self._entries[key]
            if own.get("action") == "append" and list(path[1:]) == [1]:
                check_appendable(key, value)
            if persist and self._store is not None:
                # On a copy, so that a value that cannot be stored leaves the dataset as it was.
                changed: dict[str, Any] = {key: (persist, own_copy(value), dict(metadata))}
                apply_mod(changed, own)
                self._store.put(key, changed[key][1], changed[key][2])
                self._entries[key] = changed[key]
            else:
                apply_mod(self._entries, own)
            self._tell(own, origin)

    def delete(self, key: str, *, origin: Origin = "run") -> None:
        """Remove a dataset, or raise KeyError."""
        with self.lock:
            persist, _, _ = self._entries[key]
            if persist and self._store is not None:
                self._store.remove(key)
            del self._entries[key]
            self._tell({"action": "delitem", "path": [], "key": key}, origin)

    def subscribe(self, listener: Listener) -> dict[str, Entry]:
        """Have `listener` called with every later modification; return everything as it is at that moment."""
        with self.lock:
            self._listeners.append(listener)
            return self.snapshot()

    def unsubscribe(self, listener: Listener) -> None:
        """Undo `subscribe`; a listener that is not there is no error."""
        with self.lock:
            self._listeners = [other for other in self._listeners if other != listener]

    def close(self) -> None:
        """Close the file and let other processes have it. Twice is no error."""
        with self.lock:
            if self._store is not None:
                self._store.close()

    def _update_whole(self, mod: dict[str, Any], origin: Origin) -> None:
        if mod.get("action") == "delitem":
            self.delete(mod["key"], origin=origin)
        elif mod.get("action") == "setitem":
            persist, value, metadata = mod["value"]
            self.set(mod["key"], value, persist, metadata, origin=origin)
        else:
            raise ValueError(f"the database itself takes setitem and delitem, not {mod.get('action')!r}")

    def _tell(self, mod: Mod, origin: Origin) -> None:
        """Tell every listener, also when one of them fails: what was done is done."""
        failure: Exception | None = None
        for listener in list(self._listeners):
            try:
                listener(mod, origin)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

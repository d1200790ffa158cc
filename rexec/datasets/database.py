"""A dataset database: what an ARTIQ master keeps for its clients, usable from any thread."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from rexec.datasets._entries import Entries
from rexec.datasets._lmdb import PersistentStore
from rexec.datasets.changes import apply_mod, changed_metadata, inner_path
from rexec.datasets.door import check_sendable, checked_flag, checked_metadata, checked_name, checked_value
from rexec.datasets.errors import check_process
from rexec.datasets.types import Entry, Metadata, Mod, Origin
from rexec.datasets.values import own_copy
from rexec.ground import forks

Listener: TypeAlias = Callable[[Mod, Origin], None]
"""Called with each modification after it was made, under the database's lock, in the order they were made."""

_METADATA: Final = 2
"""Their place in an entry, as paths of modifications name it."""


class DatasetDB:
    """Datasets by name, with those that persist in an LMDB file of ARTIQ's format.

    `get`, `get_metadata`, `set`, `update` and `delete` are those of ARTIQ's `dataset_db` target. A persistent dataset
    is on the disk before the call that changes it returns. Other processes may use the file at the same time; each
    later call sees what they have changed. Methods may be called from any thread.

    Args:
        path: LMDB file (ARTIQ: `dataset_db.mdb`), made where it is missing; None keeps everything in memory.
        is_master: Whether it is kept for subscribers; a second such process is refused.
        pyon_v1: Whether subscribers may read PYON v1, which has fewer types.
        no_persistence: Why nothing can be kept, for a database in memory that refuses what is to persist.
        forgets: Why nothing is kept, for a database in memory that takes what is to persist all the same.

    Raises:
        DatabaseInUse: A program that does not share the file has it open.
        DatabaseUnreadable: The file is not what ARTIQ writes. A dataset in it that is not raises where it is asked for.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        is_master: bool = False,
        pyon_v1: bool = False,
        no_persistence: str | None = None,
        forgets: str | None = None,
    ) -> None:
        self.forgets: Final = forgets
        self.lock: Final = threading.RLock()
        self._generation: Final = forks.generation
        self._v1: Final = pyon_v1
        self._listeners: list[Listener] = []
        self._store = None if path is None else PersistentStore(Path(path), is_master=is_master)
        self._entries: Final = Entries(self._store, self._tell, no_persistence)
        try:
            self._entries.open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "DatasetDB":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path | None:
        """The LMDB file, if there is one."""
        return None if self._store is None else self._store.path

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Datasets that cannot be read, and why. Asking for one raises; it can be set anew, or deleted."""
        return dict(self._entries.unreadable)

    def refresh(self) -> None:
        """Take over what other processes have changed, and tell the listeners.

        Raises:
            DatabaseLost: The file was removed, replaced or cut.

        """
        check_process(self._generation)
        with self.lock:
            self._entries.refresh()

    def get(self, key: str) -> Any:
        """Return a copy of the value of a dataset.

        Raises:
            KeyError: There is none.
            DatabaseUnreadable: There is one that cannot be read.

        """
        with self.lock:
            return own_copy(self._entry(key)[1])

    def get_metadata(self, key: str) -> Metadata:
        """Return a copy of the metadata of a dataset; raises as `get`."""
        with self.lock:
            _, _, metadata = self._entry(key)
            return dict(metadata)

    def get_entry(self, key: str) -> Entry:
        """Return (persist, copy of the value, metadata) of a dataset; raises as `get`."""
        with self.lock:
            persist, value, metadata = self._entry(key)
            return persist, own_copy(value), dict(metadata)

    def persists(self, key: str) -> bool:
        """Return whether there is such a dataset and it persists. Copies nothing."""
        with self.lock:
            return self._entries.persists(key)

    def has(self, key: str) -> bool:
        """Return whether there is such a dataset; it may be one that cannot be read."""
        with self.lock:
            return self._entries.has(key)

    def count(self) -> tuple[int, int]:
        """Return how many datasets there are, and how many of them persist."""
        with self.lock:
            self.refresh()
            present, unreadable = self._entries.present, len(self._entries.unreadable)
            return len(present) + unreadable, sum(persist for persist, _, _ in present.values()) + unreadable

    def snapshot(self) -> dict[str, Entry]:
        """Return a copy of everything that can be read, as a subscriber of an ARTIQ master gets it."""
        with self.lock:
            self.refresh()
            return {
                key: (persist, own_copy(value), dict(metadata))
                for key, (persist, value, metadata) in self._entries.present.items()
            }

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

        Raises:
            TypeError, ValueError: It cannot be sent to subscribers.
            DatasetError: It cannot be kept.

        """
        key = checked_name(key)
        own = checked_value(key, value)
        given = None if metadata is None else checked_metadata(key, metadata)
        keep = None if persist is None else checked_flag(key, "persist", persist)
        check_sendable(key, own, given or {}, v1=self._v1)

        def entry() -> Entry:
            _, _, present = self._entries.present.get(key, (False, None, {}))
            persists = self._entries.persists(key) if keep is None else keep
            return persists, own, dict(present if given is None else given)

        self._change(
            key, entry, lambda new: {"action": "setitem", "path": [], "key": key, "value": new}, origin
        )

    def update(self, mod: Mod, *, origin: Origin = "run") -> Mod:
        """Apply a modification.

        Args:
            mod: As sync_struct writes it: `{"action": "append", "path": [key, 1], "x": 3}`.
            origin: Who makes it, for the listeners.

        Returns:
            The modification with its index and value in the form that everybody understands.

        Raises:
            KeyError: There is no such dataset.
            TypeError, ValueError, IndexError: The modification does not fit the dataset, or is none.
            DatasetError: It cannot be kept.

        """
        if not (path := inner_path(mod)):
            return self._update_whole(dict(mod), origin)
        key, part = path[0], path[1]
        own = {
            name: checked_value(key, given, len(path) - 1) if name in {"x", "value"} else given
            for name, given in {**mod, "path": path}.items()
        }
        check_sendable(key, own.get("x", own.get("value")), {}, v1=self._v1)
        check_process(self._generation)
        with self.lock:
            logged = self._entries.modify(key, own)
            if logged is not None:
                self._tell(logged, origin)
                return logged
        done: list[Mod] = [own]

        def entry() -> Entry:
            persist, value, metadata = self._entries.entry(key)
            if part == _METADATA:
                return persist, value, checked_metadata(key, changed_metadata(metadata, own))
            # A persistent value is changed in a copy, so that one that cannot be stored leaves it as it was.
            target = own_copy(value) if persist and self._store is not None else value
            done[0] = apply_mod(target, own)
            return persist, target, metadata

        self._change(key, entry, lambda _: done[0], origin)
        return done[0]

    def append_number(self, key: str, value: Any) -> None:
        """Do what `update` does with an append of a number by the run, and raise as it does."""
        mod = {"action": "append", "path": [key, 1], "x": value}
        with self.lock:
            _, items, _ = self._entries.present.get(key, (None, None, None))
            if self._store is None and type(items) is list:
                check_sendable(key, value, {}, v1=self._v1)
                items.append(value)
                self._tell(mod, "run")
            else:
                self.update(mod)

    def delete(self, key: str, *, origin: Origin = "run") -> None:
        """Remove a dataset, or raise KeyError."""

        def nothing() -> None:
            if key not in self._entries.unreadable:
                self._entries.entry(key)

        self._change(key, nothing, lambda _: {"action": "delitem", "path": [], "key": key}, origin)

    def in_memory(self, forgets: str) -> "DatasetDB":
        """Return a copy that keeps nothing; what cannot be read raises there, too.

        Args:
            forgets: Why it keeps nothing.

        """
        with self.lock:
            copy = DatasetDB(None, forgets=forgets)
            copy._entries.present.update(self.snapshot())  # of this class
            copy._entries.unreadable.update(self._entries.unreadable)  # of this class
            return copy

    def subscribe(self, listener: Listener) -> dict[str, Entry]:
        """Have `listener` called with every later modification; return everything as it is at that moment."""
        with self.lock:
            present = self.snapshot()
            self._listeners.append(listener)
            return present

    def unsubscribe(self, listener: Listener) -> None:
        """Undo `subscribe`; a listener that is not there is no error."""
        with self.lock:
            self._listeners = [other for other in self._listeners if other != listener]

    def close(self) -> None:
        """Close the file and let other processes have it. Twice is no error."""
        if forks.generation != self._generation:
            return  # it is the parent's
        with self.lock:
            self._entries.close()

    def _entry(self, key: str) -> Entry:
        self.refresh()
        return self._entries.entry(key)

    def _change(
        self, key: str, make: Callable[[], Entry | None], describe: Callable[[Any], Mod], origin: Origin
    ) -> None:
        """Replace an entry as `make` says, then tell the listeners what `describe` says of it."""
        check_process(self._generation)
        with self.lock:
            self._tell(describe(self._entries.replace(key, make)), origin)

    def _update_whole(self, mod: dict[str, Any], origin: Origin) -> Mod:
        action = mod.get("action")
        if action == "delitem":
            self.delete(mod["key"], origin=origin)
        elif action == "setitem":
            persist, value, metadata = mod["value"]
            self.set(mod["key"], value, persist, metadata, origin=origin)
        else:
            raise ValueError(f"the database itself takes setitem and delitem, not {action!r:.80}")
        return mod

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

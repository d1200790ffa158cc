"""The entries of a dataset database in memory and in its file: what persists is in the file first."""

import contextlib
import logging
from collections.abc import Callable
from typing import Final

import lmdb

from rexec.datasets._lmdb import PersistentStore
from rexec.datasets._logged import LoggedChanges, Moved
from rexec.datasets._stored import decoded, encoded
from rexec.datasets._texts import Changes, Writing, stored_name
from rexec.datasets.errors import DatabaseUnreadable, DatasetError
from rexec.datasets.types import Entry, Mod, Origin

_log = logging.getLogger(__name__)


_ATTEMPTS: Final = 100


class Entries:
    """Datasets by name. One thread at a time calls it.

    Args:
        store: The file; None: there is none.
        tell: Called with each modification that brings about what another process has done to the file.
        no_persistence: Why nothing can be kept, where what is to persist is refused.

    Attributes:
        present: The entries that can be read.
        unreadable: Why the others cannot be.

    """

    def __init__(
        self,
        store: PersistentStore | None,
        tell: Callable[[Mod, Origin], None],
        no_persistence: str | None,
    ) -> None:
        self.store: Final = store
        self.present: Final[dict[str, Entry]] = {}
        self.unreadable: Final[dict[str, str]] = {}
        self._tell: Final = tell
        self._no_persistence: Final = no_persistence
        self._logged = None if store is None else LoggedChanges(store, self.present, tell)

    def refresh(self) -> None:
        """Take over what other processes have changed."""
        if self.store is not None and self._logged is not None:
            self._take_over(self.store, self.store.changes())
            try:
                self._logged.follow()
            except Moved:
                self._begin_anew(self.store, self._logged)

    def open(self) -> None:
        """Read everything, fold what a killed process has left in the log, and warn of what cannot be folded."""
        self.refresh()
        store, logged = self.store, self._logged
        if store is None or logged is None or store.is_read_only or not logged.has_records:
            return
        with store.writing("") as writing:
            self._look_again(store, writing)
            left_out = list(logged.superseded())
        for key, count in left_out:
            _log.warning(
                "dataset %s was set by another program since %d changes of it were logged beside %s: they are left out",
                key, count, store.path,
            )  # fmt: skip
        self.fold()
        logged.clean()

    def fold(self) -> None:
        """Bring the database up to date with its log.

        Raises:
            DatasetError: It cannot be written; the log has everything.

        """
        if self.store is not None and self._logged is not None and self._logged.is_pending:
            self._put(self.store, "", None)

    def close(self) -> None:
        """Fold the log, and close the file."""
        if self.store is None:
            return
        try:
            if self._logged is not None:
                if not self.store.is_read_only:
                    self.fold()
                self._logged.close()
        except DatasetError as error:
            _log.error("%s. The latest changes are in %s", error, self.store.log_path)
        finally:
            self.store.close()

    def modify(self, key: str, mod: Mod) -> Mod | None:
        """Change a part of a large persistent dataset, at the cost of the part.

        Returns:
            The modification as `apply_mod` returns it. None: nothing was done, the dataset is to be replaced.

        Raises:
            LookupError: It does not fit the dataset.
            DatasetError: It cannot be kept.

        """
        store, logged = self.store, self._logged
        if store is None or logged is None or not logged.takes(key, mod):
            return None
        with store.writing(key) as writing:
            self._look_again(store, writing)
            done = logged.change(key, mod) if logged.takes(key, mod) else None
        if logged.is_worth_folding:
            try:
                self.fold()
            except (DatasetError, OSError) as error:
                logged.put_off()
                _log.warning("%s. The changes are in %s", error, store.log_path)
        return done

    def entry(self, key: str) -> Entry:
        """Return an entry.

        Raises:
            KeyError: There is none.
            DatabaseUnreadable: There is one that cannot be read.

        """
        entry = self.present.get(key)
        if entry is not None:
            return entry
        if key in self.unreadable:
            raise DatabaseUnreadable(self.unreadable[key])
        raise KeyError(key)

    def has(self, key: str) -> bool:
        """Return whether there is such an entry; it may be one that cannot be read."""
        return key in self.present or key in self.unreadable

    def persists(self, key: str) -> bool:
        """Return whether there is such an entry and it persists."""
        entry = self.present.get(key)
        return key in self.unreadable if entry is None else entry[0]

    def replace(self, key: str, make: Callable[[], Entry | None]) -> Entry | None:
        """Replace an entry: first in the file, where it persists, then in memory.

        Args:
            key: Name of the dataset.
            make: Returns the new entry, None to remove it. It is called once more where the file had to grow.

        """
        entry = make() if self.store is None else self._keep(self.store, key, make)
        if entry is not None and entry[0] and self._no_persistence is not None:
            raise DatasetError(f"cannot keep dataset {key!r}: {self._no_persistence}")
        if entry is None:
            self.present.pop(key, None)
        else:
            self.present[key] = entry
        self.unreadable.pop(key, None)
        return entry

    def _keep(self, store: PersistentStore, key: str, make: Callable[[], Entry | None]) -> Entry | None:
        self.refresh()
        was_kept = self.persists(key)
        entry = make()
        if not (was_kept or (entry is not None and entry[0])):
            return entry
        return self._put(store, key, (make, entry))

    def _put(
        self,
        store: PersistentStore,
        key: str,
        made: tuple[Callable[[], Entry | None], Entry | None] | None,
    ) -> Entry | None:
        """Put an entry into the file, or remove it, with all that is in the log only; None: only that."""
        make, entry = (None, None) if made is None else made
        text = b""
        while True:
            try:
                with store.writing(key) as writing:
                    if self._look_again(store, writing) and make is not None:
                        entry = make()
                    if entry is not None and entry[0]:
                        _, value, metadata = entry
                        text = encoded(value, metadata)
                        writing.put(stored_name(key), text)
                    elif make is not None:
                        writing.remove(stored_name(key))
                    if self._logged is not None:
                        self._logged.put_all(writing, besides=None if make is None else key)
            except lmdb.MapFullError:
                store.grow(key, len(text))
            else:
                if self._logged is not None:
                    self._logged.folded()
                return entry

    def _begin_anew(self, store: PersistentStore, logged: LoggedChanges) -> None:
        """Read a log of a new generation: first the database, into which the former one was folded."""
        for _ in range(_ATTEMPTS):
            self._take_over(store, store.changes())
            with contextlib.suppress(Moved):
                logged.follow_anew()
                return
        raise logged.lost()

    def _look_again(self, store: PersistentStore, writing: Writing) -> bool:
        """Apply the changes that precede a transaction; return whether there were any."""
        if self._logged is None:
            return False
        self._take_over(store, writing.changes)
        try:
            news = self._logged.follow()
        except Moved:
            news = self._logged.follow_anew()
        return news or writing.changes is not None

    def _take_over(self, store: PersistentStore, changes: Changes | None) -> None:
        if changes is None:
            return
        for name, text in changes.texts.items():
            key = name.decode("utf-8", "surrogateescape")
            present = self.present.get(key)
            if present is not None and not present[0]:
                continue  # this process shows another one by that name
            if self._logged is not None and self._logged.is_known(key, text):
                continue
            self.unreadable.pop(key, None)
            if text is not None:
                self._read(store, key, text)
            elif present is not None:
                del self.present[key]
                self._tell({"action": "delitem", "path": [], "key": key}, "neighbour")
        store.took(changes)

    def _read(self, store: PersistentStore, key: str, text: bytes) -> None:
        try:
            value, metadata = decoded(text)
        except ValueError as error:
            self.present.pop(key, None)
            why = f"dataset {key!r} in {store.path} cannot be read: {error}. Set it anew, or delete it"
            self.unreadable[key] = why
            return
        entry = self.present[key] = (True, value, metadata)
        self._tell({"action": "setitem", "path": [], "key": key, "value": entry}, "neighbour")

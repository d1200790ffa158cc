"""Changes inside large persistent datasets: into the log at once, into the database at each set point."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from rexec.datasets._change_log import ChangeLog, Moved
from rexec.datasets._lmdb import PersistentStore
from rexec.datasets._log_records import LogRecord
from rexec.datasets._stored import encoded
from rexec.datasets._texts import Writing, digest_of, length_of
from rexec.datasets.changes import apply_mod
from rexec.datasets.errors import DatabaseLost
from rexec.datasets.types import Entry, Mod, Origin
from rexec.wire import pyon

_log = logging.getLogger(__name__)

WHOLE_UP_TO: Final = 4096
"""Maximum bytes of a text that is written whole: a transaction of LMDB writes three pages of this size anyway."""

FOLD_FROM: Final = 2**16
"""Bytes of the log below which it is not folded before a set point."""


class LoggedChanges:
    """Keeps entries equal to the database and its log. One thread at a time calls it.

    A record of the log counts as long as the database has the text that it changes: once the log is folded into the
    database, or somebody has set the dataset, its digest is another.

    Args:
        store: The database.
        present: The entries that can be read; changed in place.
        tell: Called with each change that another process has logged.

    """

    def __init__(
        self, store: PersistentStore, present: dict[str, Entry], tell: Callable[[Mod, Origin], None]
    ) -> None:
        self._store: Final = store
        self._log: Final = ChangeLog(store.log_path)
        self._present: Final = present
        self._tell: Final = tell
        self._pending: Final[dict[str, int]] = {}
        """Datasets with changes that are in the log and not in the database, and the lengths of their texts there."""
        self._owed = 0
        """Sum of these lengths."""
        self._stale: Final[set[str]] = set()
        """Datasets that were read again, without what the log has of them."""
        self._fold_at = FOLD_FROM

    def is_known(self, key: str, text: bytes | None) -> bool:
        """Take note that the database has another text of a dataset; return whether it is the value that is known."""
        if key in self._pending:
            self._drop(key)
            entry = self._present.get(key)
            if entry is not None and text is not None and encoded(entry[1], entry[2]) == text:
                return True
        self._stale.add(key)
        return False

    def follow(self) -> bool:
        """Apply what other processes have logged; return whether there was anything.

        Raises:
            Moved: The log began anew: `PersistentStore.changes` comes first, then `follow_anew`.
            DatabaseUnreadable: It is damaged.

        """
        mods: list[Mod] = []
        records = self._log.records(again=bool(self._stale))
        try:
            for record in records:
                key = _key(record.name)
                if record.kind in b"as" and (record.end > self._log.position or key in self._stale):
                    mods += self._apply(key, record)
                self._log.position = max(self._log.position, record.end)
            self._stale.clear()
        except BaseException:
            # A signal may have hit between carrying out a change and taking note of it.
            self._store.forget(map(_name, self._pending))
            raise
        for mod in mods:
            self._tell(mod, "neighbour")
        return bool(mods)

    def follow_anew(self) -> bool:
        """Read a log that began anew.

        Raises:
            DatabaseLost: Changes that were in it are not in the database.

        """
        for key in list(self._pending):
            _, value, metadata = self._present[key]
            text = encoded(value, metadata)
            if digest_of(text) == self._store.digest(_name(key)):
                self._drop(key)  # it was folded, and is as before
        if self._pending:
            raise self._log.lost()
        self._log.open_anew()
        return self.follow()

    def lost(self) -> DatabaseLost:
        """Return the error that the log is not there any more."""
        return self._log.lost()

    def takes(self, key: str, mod: Mod) -> bool:
        """Return whether a modification of a dataset goes to the log."""
        entry = self._present.get(key)
        if entry is None or not entry[0] or len(mod["path"]) != 2 or mod["path"][1] != 1:
            return False
        value, action = entry[1], mod["action"]
        if not (type(value) is list and action in {"append", "setitem"}):
            if not (type(value) is np.ndarray and action == "setitem" and value.dtype.kind in "biufc"):
                return False
        length = self._length(key)
        return length > WHOLE_UP_TO and self._store.has_room(length + self._owed + 2 * self._log.size + 2**16)

    def change(self, key: str, mod: Mod) -> Mod | None:
        """Carry out a modification that `takes` takes, in a transaction; None: it cannot be logged, nothing was done.

        Raises:
            LookupError, TypeError, ValueError: It does not fit the value.
            DatasetError: It cannot be kept; nothing was changed.

        """
        value, name, is_append = self._present[key][1], _name(key), mod["action"] == "append"
        digest = self._store.digest(name)
        if digest is None:
            return None
        try:
            done = apply_mod(value, mod)
            text = pyon.encode(done["x"] if is_append else (done["key"], done["value"])).encode("ascii")
            end = self._log.append(name, digest, b"a" if is_append else b"s", text)
            self._log.check()
            self._store.check()
            self._add(key)
            self._log.took(end, name, digest)
        except BaseException as error:
            # What the database and the log have of it counts: the next look reads that.
            self._store.forget([name])
            if isinstance(error, TypeError | ValueError):
                return None
            raise
        return done

    @property
    def is_worth_folding(self) -> bool:
        """Whether the log is half as long as what is written to fold it: all of that together is linear."""
        return self._log.size > max(self._fold_at, self._owed // 2)

    @property
    def has_records(self) -> bool:
        """Whether there is anything in the log."""
        return self._log.size > 0

    @property
    def is_pending(self) -> bool:
        """Whether the log has changes that the database has not."""
        return bool(self._pending)

    def put_all(self, writing: Writing, besides: str | None = None) -> None:
        """Put all datasets with changes in the log whole, in a transaction, and note so in the log.

        Args:
            writing: The transaction.
            besides: A dataset that is put or removed already.

        """
        if not self._pending:
            return
        for key in self._pending:
            if key != besides:
                _, value, metadata = self._present[key]
                writing.put(_name(key), encoded(value, metadata))
        self._log.note_folded({name: digest or b"" for name, digest in writing.digests.items()})

    def folded(self) -> None:
        """Take note that the transaction is done, and begin the log anew."""
        if not self._pending:
            return
        self._pending.clear()
        self._owed = 0
        self._fold_at = FOLD_FROM
        self._reset()

    def put_off(self) -> None:
        """Fold no sooner than the log is twice as long: it has failed."""
        self._fold_at = 2 * self._log.size

    def superseded(self) -> Iterable[tuple[str, int]]:
        """Yield datasets of which the log has changes that were neither carried out nor folded, and how many."""
        counts: dict[str, int] = {}
        for record in self._log.records(again=True):
            key, now = _key(record.name), self._store.digest(record.name)
            if record.kind == b"f" and (record.digest or None) == now:
                counts.pop(key, None)
            elif record.kind in b"as" and record.digest != now:
                counts[key] = counts.get(key, 0) + 1
        return counts.items()

    def clean(self) -> None:
        """Begin the log anew where the database has everything that is in it."""
        if not self._pending and self._log.size:
            self._reset()

    def close(self) -> None:
        """Let go of the log, and remove one that is empty."""
        if self._log.is_open and not (self._pending or self._store.is_read_only or self._log.size):
            with self._store.writing(""):
                self._log.remove()
        self._log.close()

    def _reset(self) -> None:
        try:
            with self._store.writing(""):
                self._log.reset()
        except OSError as error:
            _log.debug("%s: %s", self._log.path, error)  # what is in it counts no more

    def _apply(self, key: str, record: LogRecord) -> list[Mod]:
        entry = self._present.get(key)
        if entry is None or not entry[0] or record.digest != self._store.digest(record.name):
            return []
        mod: dict[str, Any] = {"path": [key, 1]}
        self._add(key)
        try:
            change = pyon.decode(record.change)
            if record.kind == b"a":
                mod |= {"action": "append", "x": change}
            else:
                mod |= {"action": "setitem", "key": change[0], "value": change[1]}
            return [apply_mod(entry[1], mod)]
        except (LookupError, TypeError, ValueError) as error:
            _log.error("dataset %s: a change in %s cannot be carried out: %s", key, self._log.path, error)
            return []

    def _add(self, key: str) -> None:
        if key not in self._pending:
            self._pending[key] = self._length(key)
            self._owed += self._pending[key]

    def _drop(self, key: str) -> None:
        self._owed -= self._pending.pop(key)

    def _length(self, key: str) -> int:
        digest = self._store.digest(_name(key))
        return 0 if digest is None else length_of(digest)


def _name(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _key(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


__all__ = ["LoggedChanges", "Moved"]

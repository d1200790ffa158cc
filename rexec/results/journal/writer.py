"""The journal of a run: an append-only file to which every change is written before it is acknowledged.

A change is handed to the operating system at once, so that it survives the death of the process, and
synced to the disk on a timer and on demand, so that what was synced survives a loss of power.
"""

import logging
import math
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from devicedb.whole_file import sync_descriptor
from rexec.ground import forks
from rexec.ground.clock import wall_clock
from rexec.ground.reentry import refuse_reentry
from rexec.results.errors import ResultsError
from rexec.results.journal._appender import Appender
from rexec.results.journal._encode import TextTag
from rexec.results.journal._record_file import RecordFile
from rexec.results.journal._reuse import ReusingWriter
from rexec.results.journal.records import Kind, Origin, Record, change_parts, key_parts, short_append

_log = logging.getLogger(__name__)

_CHANGES: Final = frozenset({Kind.SET, Kind.APPEND, Kind.MUTATE})
_OF_DATASETS: Final = _CHANGES | {Kind.DELETE, Kind.ARCHIVE}


class Journal:
    """The writing end of a journal. Methods may be called from any thread.

    It belongs to the process that made it: in a forked one every change is refused, and the claim is let go. A change
    that raises, also by a signal between two steps, is cut off again.

    Args:
        path: The file; it must not exist.
        sync_interval: Seconds between two syncs to the disk while there is something to do; 0: on demand.

    Raises:
        ResultsNotWritable: The file cannot be made; the text says why and what to do.

    """

    def __init__(self, path: Path, *, sync_interval: float = 0.5) -> None:
        self._generation: Final = forks.generation
        self.lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self.since = math.inf
        """Time of the last long record in the file; infinite: not known."""
        self._told: set[str] = set()
        self._beside = 0
        """Bytes that are no changes of datasets."""
        self.on_healed: Callable[[str], None] = _nothing
        """Called with what happened when the file was written anew."""
        self._synced = 0
        self.file: Final = RecordFile(path)
        self._changes: Final = ReusingWriter(self.file)
        _journals.add(self)
        self._stop = threading.Event()
        self._timer = threading.Thread(
            target=self._sync_regularly, args=(sync_interval,), name="rexec-journal-sync", daemon=True
        )
        if sync_interval > 0:
            self._timer.start()

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def size(self) -> int:
        """Bytes handed to the operating system: whole records only."""
        with self.lock:
            self.file.settle()
            return self.file.size

    @property
    def position(self) -> int:
        """A number that grows with each change of a dataset that is kept, and only then."""
        with self.lock:
            return self.file.size - self._beside

    @property
    def synced(self) -> int:
        """Bytes known to be on the disk."""
        return self._synced

    @property
    def written(self) -> int:
        """Bytes written so far: more than `size` where values took the place of superseded ones."""
        return self.size + self._changes.placed

    @property
    def claim(self) -> int:
        """The open file that holds this run's claim: as long as it is open anywhere, nobody recovers the journal."""
        return self.file.descriptor

    @property
    def is_ours(self) -> bool:
        """Whether this process has made it, and is no fork of the one that has."""
        return self._generation == forks.generation

    @property
    def is_whole(self) -> bool:
        """Whether the file of that name holds everything that was kept."""
        with self.lock:
            return self.file.is_whole

    def append(self, key: str, value: Any, *, origin: Origin = "run") -> int:
        """Keep that `value` was appended to the list `key`; return the offset of the record."""
        refuse_reentry(self.lock, ResultsError, key)
        with self.lock:
            number = self._number_of(key)
            start = self.file.size
            now = wall_clock()
            data = short_append(number, now - self.since, value) if origin == "run" else None
            if data is None:
                self._put(Record(Kind.APPEND, key, now, value, origin=origin, archive=False), number)
            else:
                self.file.write_small(data)
        return start

    def appender(self, key: str, items: list[Any]) -> Appender:
        """Return what keeps that the run has appended a number to the list `key`, and appends it to `items`."""
        with self.lock:
            number = self._number_of(key)
        return Appender(self, number, items)

    def put(self, record: Record) -> None:
        """Keep a record of any kind; its time is now if it has none."""
        if not record.time:
            record = record._replace(time=wall_clock())
        refuse_reentry(self.lock, ResultsError, record.key)
        with self.lock:
            number = self._number_of(record.key)
            before = self.file.size
            self._put(record, number)
            if record.kind not in _OF_DATASETS:
                self._beside += self.file.size - before

    def sync(self) -> None:
        """Return when everything kept so far is on the disk, in the file of that name.

        Raises:
            ResultsError: The disk reports a failure.

        """
        file = self.file
        with self._sync_lock:
            self._heal()
            with self.lock:
                file.settle()
                if file.failure is not None:
                    raise ResultsError(file.failure)
                size = file.size
                if size == self._synced:
                    return
                marked = self._changes.sync_begins(size)
            try:
                sync_descriptor(file.descriptor, data_only=True)
            except OSError as error:
                # After a failed sync the system may have dropped the pages: nothing written later can be trusted.
                file.failure = (
                    f"the disk failed to keep {self.path}: {error.strerror}; the run's data up to the last "
                    f"sync ({self._synced} bytes) are safe"
                )
                raise ResultsError(file.failure) from error
            with self.lock:
                self._synced = max(self._synced, size)
                self._changes.synced(size, marked)

    def keep_all(self) -> None:
        """Keep every change, also those that later ones supersede."""
        with self.lock:
            self._changes.keep_all()

    def heal(self) -> None:
        """Write the file anew, from what this process has open, where somebody has removed or replaced it.

        Raises:
            ResultsError: It cannot be written there, or what was in it is lost.

        """
        with self._sync_lock:
            self._heal()
        if self.file.lost is not None:
            raise ResultsError(self.file.lost)

    def close(self) -> None:
        """Sync and close the file, and give up the claim on it. Twice is no error.

        Raises:
            ResultsError: The disk reports a failure; the file is closed all the same.

        """
        self._stop_syncing()
        with self._sync_lock, self.lock:  # no sync is under way, of which the descriptor would be closed
            if self.file.descriptor < 0:
                return
            try:
                self._changes.close()
                self.file.close()
                self._synced = self.file.size
            except OSError as error:
                raise ResultsError(f"the disk failed to keep {self.path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove a file that is not needed any more, and give up the claim on it. Twice is no error.

        Raises:
            OSError: It cannot be removed.

        """
        self._stop_syncing()
        with self._sync_lock, self.lock:
            if self.file.descriptor >= 0:
                self._changes.close()
                self.file.remove()

    def disown(self) -> None:
        """Refuse every change from now on, and let the claim go: this process is a fork of the run's."""
        # Another thread of the parent may have held the locks.
        self.lock, self._sync_lock = threading.RLock(), threading.Lock()
        self._changes.close()
        self.file.disown()

    def _stop_syncing(self) -> None:
        self._stop.set()
        if self._timer.is_alive():
            self._timer.join(timeout=30.0)

    def _heal(self) -> None:
        with self.lock:
            healed = self.file.heal()
        if healed:
            # First the record, then the log: whoever has read the one can count on the other.
            self.on_healed(healed)
            _log.warning("%s", healed)

    def _put(self, record: Record, number: int) -> None:
        parts = change_parts(record, number)
        self.since = math.inf  # an interrupt may hit between the next two lines
        self._changes.write(record, parts)
        self.since = record.time
        if (
            record.kind in _CHANGES
            and record.key not in self._told
            and any(type(part) is TextTag for part in parts)
        ):
            self._told.add(record.key)
            _log.warning(
                "dataset %s: of a value of type %s, or of what is in it, only the text is kept; numbers, strings, "
                "lists, dicts and arrays of these are kept whole",
                record.key,
                type(record.value).__qualname__,
            )

    def _number_of(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is not None:
            return number
        number, before = len(self._numbers), self.file.size
        self.file.write(Kind.KEY, key_parts(number, key))
        self._beside += self.file.size - before
        self._numbers[key] = number
        return number

    def _sync_regularly(self, interval: float) -> None:
        said = ""
        while not self._stop.wait(interval):
            try:
                self.sync()
            except (OSError, ResultsError) as error:
                if self.file.failure is not None:
                    _log.error("%s; no further change can be kept", error)
                    return
                if str(error) != said:
                    _log.error("%s; trying again", error)
                said = str(error)


def _nothing(_: str) -> None:
    """Stand for telling: nobody wants to know."""


_journals: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _disown() -> None:
    """Take the journals of the parent from a process that was forked just now."""
    for journal in _journals:
        journal.disown()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_disown)

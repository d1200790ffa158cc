"""The journal of a run: an append-only file to which every change is written before it is acknowledged.

A change is handed to the operating system at once, so that it survives the death of the process, and
synced to the disk on a timer and on demand, so that what was synced survives a loss of power.
"""

import errno
import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Final

from rexec.results._codec import Buffer, TextTag
from rexec.results._files import sync_folder
from rexec.results._journal_file import copied, created, is_at
from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.records import (
    Kind,
    Origin,
    Record,
    append_bytes,
    change_parts,
    frame,
    frame_end,
    frame_head,
    header,
    key_parts,
)

_log = logging.getLogger(__name__)

_CHANGES: Final = frozenset({Kind.SET, Kind.APPEND, Kind.MUTATE})
_WRITEV: Final = hasattr(os, "writev")
_MAX_PARTS: Final = 512
_LARGE: Final = 4 * 2**20
"""Bytes from which on a second thread for the checksum is worth its start."""


class Journal:
    """The writing end of a journal. Methods may be called from any thread.

    Args:
        path: The file; it must not exist.
        sync_interval: Seconds between two syncs to the disk while there is something to do; 0: on demand.

    Raises:
        ResultsNotWritable: The file cannot be made; the text says why and what to do.

    """

    def __init__(self, path: Path, *, sync_interval: float = 0.5) -> None:
        self.path: Final = path
        self.identifier: Final = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._told: set[str] = set()
        self._size = 0
        self._synced = 0
        self._failure: str | None = None
        self._descriptor = created(path)
        try:
            self._write([header(self.identifier)])
            os.fsync(self._descriptor)
            sync_folder(path.parent)
        except (OSError, ResultsError) as error:
            os.close(self._descriptor)
            path.unlink(missing_ok=True)
            raise ResultsNotWritable(f"cannot write results beside {path}: {error}") from error
        self._stop = threading.Event()
        self._timer = threading.Thread(
            target=self._sync_regularly, args=(sync_interval,), name="rexec-journal-sync", daemon=True
        )
        if sync_interval > 0:
            self._timer.start()

    @property
    def size(self) -> int:
        """Bytes handed to the operating system: whole records only."""
        return self._size

    @property
    def synced(self) -> int:
        """Bytes known to be on the disk."""
        return self._synced

    @property
    def claim(self) -> int:
        """The open file that holds this run's claim: as long as it is open anywhere, nobody recovers the journal."""
        return self._descriptor

    def append(self, key: str, value: Any, *, origin: Origin = "run") -> None:
        """Keep that `value` was appended to the list `key`."""
        now = time.time()
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = self._define(key)
            data = append_bytes(number, now, origin == "client", value)
            if data is None:
                self._put(Record(Kind.APPEND, key, now, value, origin=origin, archive=False), number)
            else:
                self._write_small(data)

    def put(self, record: Record) -> None:
        """Keep a record of any kind; its time is now if it has none."""
        if not record.time:
            record = record._replace(time=time.time())
        with self._lock:
            number = self._numbers.get(record.key)
            if number is None:
                number = self._define(record.key)
            self._put(record, number)

    def sync(self) -> None:
        """Return when everything kept so far is on the disk.

        Raises:
            ResultsError: The disk reports a failure.

        """
        with self._lock:
            if self._failure is not None:
                raise ResultsError(self._failure)
            size = self._size
        if size == self._synced:
            return
        try:
            os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
        except OSError as error:
            # After a failed sync the system may have dropped the pages: nothing written later can be trusted.
            self._failure = (
                f"the disk failed to keep {self.path}: {error.strerror}; the run's data up to the last "
            )
            self._failure += f"sync ({self._synced} bytes) are safe"
            raise ResultsError(self._failure) from error
        self._synced = max(self._synced, size)

    def put_back(self) -> bool:
        """Write the file anew where somebody has removed it, from what this process still has open.

        Returns:
            Whether that was necessary.

        Raises:
            ResultsError: It cannot be written there.

        """
        with self._lock:
            if self._descriptor < 0 or is_at(self._descriptor, self.path):
                return False
            descriptor = copied(self._descriptor, self._size, self.path)
            os.close(self._descriptor)
            self._descriptor = descriptor
            return True

    def close(self) -> None:
        """Sync and close the file, and give up the claim on it. Twice is no error.

        Raises:
            ResultsError: The disk reports a failure; the file is closed all the same.

        """
        descriptor = self._stop_writing()
        if descriptor < 0:
            return
        try:
            os.fsync(descriptor)
            self._synced = self._size
        except OSError as error:
            raise ResultsError(f"the disk failed to keep {self.path}: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def abandon(self) -> None:
        """Close a file that is not needed any more, and give up the claim on it. Twice is no error."""
        descriptor = self._stop_writing()
        if descriptor >= 0:
            os.close(descriptor)

    def _stop_writing(self) -> int:
        self._stop.set()
        if self._timer.is_alive():
            self._timer.join(timeout=30.0)
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        return descriptor

    def _put(self, record: Record, number: int) -> None:
        parts = change_parts(record, number)
        if sum(map(len, parts)) < _LARGE:
            self._write(frame(record.kind, parts))
        else:
            self._write_large(record.kind, parts)
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

    def _define(self, key: str) -> int:
        number = len(self._numbers)
        self._write(frame(Kind.KEY, key_parts(number, key)))
        self._numbers[key] = number
        return number

    def _write_small(self, data: bytes) -> None:
        if self._failure is not None:
            raise ResultsError(self._failure)
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            self._take_back(error)
        if written != len(data):
            self._finish([data], written)
        self._size += len(data)

    def _write(self, parts: list[Buffer]) -> None:
        if self._failure is not None:
            raise ResultsError(self._failure)
        self._size += self._hand_over(parts)

    def _write_large(self, kind: Kind, parts: list[Buffer]) -> None:
        """Write a record while its checksum is computed beside it, which takes as long."""
        head = frame_head(kind, parts)
        ends: list[bytes] = []
        thread = threading.Thread(
            target=lambda: ends.append(frame_end(head, parts)), name="rexec-journal-crc"
        )
        if self._failure is not None:
            raise ResultsError(self._failure)
        thread.start()
        try:
            written = self._hand_over([head, *parts])
        finally:
            thread.join()
        # Whole with these bytes, and cut back to what was before it if they do not fit.
        written += self._hand_over([ends[0]])
        self._size += written

    def _hand_over(self, parts: list[Buffer]) -> int:
        """Write all bytes of some parts, and return how many; what cannot be written whole is cut off."""
        total = sum(map(len, parts))
        if total < 65536 or not _WRITEV or len(parts) > _MAX_PARTS:
            parts = [b"".join(parts)]
        try:
            written = os.writev(self._descriptor, parts) if _WRITEV else os.write(self._descriptor, parts[0])  # type: ignore[attr-defined, unused-ignore]
        except OSError as error:
            self._take_back(error)
        if written != total:
            self._finish(parts, written)
        return total

    def _finish(self, parts: list[Buffer], written: int) -> None:
        """Write what a partial write left over."""
        try:
            for part in parts:
                view = memoryview(part)
                skipped = min(written, len(view))
                written -= skipped
                view = view[skipped:]
                while len(view):
                    view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._take_back(error)

    def _take_back(self, error: OSError) -> "None":
        """Cut off a record that was not written whole, and say so."""
        if self._descriptor < 0:
            raise ResultsError(
                f"{self.path} is closed: the run has ended, this change came too late"
            ) from error
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError as second:
            self._failure = f"cannot write {self.path}: {error.strerror}, nor cut it back: {second.strerror}"
        hint = "; free space on it, the run's data so far are safe" if error.errno in _FULL else ""
        raise ResultsError(f"cannot keep a change in {self.path}: {error.strerror}{hint}") from error

    def _sync_regularly(self, interval: float) -> None:
        while not self._stop.wait(interval):
            try:
                self.sync()
            except ResultsError as error:
                _log.error("%s; no further change can be kept", error)
                return


_FULL: Final = {errno.ENOSPC, errno.EDQUOT}

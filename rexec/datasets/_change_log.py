"""The log beside a dataset database: changes inside large datasets, on the disk before they are acknowledged.

LMDB writes a value whole, so that an append to a list of n would cost n. The log costs what is new. It is folded into
the database at each set point: docs/decisions/0050-appends-go-to-a-log.md.
"""

import contextlib
import errno
import os
import stat
import time
from pathlib import Path
from typing import Final

from devicedb.opening import once_free, open_bytes
from devicedb.whole_file import sync_descriptor, sync_folder_of
from rexec.datasets._lmdb_check import pread
from rexec.datasets._log_records import (
    HEADER_SIZE,
    LogNames,
    LogRecord,
    body,
    framed,
    is_header,
    name_body,
    new_header,
    parsed,
)
from rexec.datasets.errors import DatabaseLost, DatabaseUnreadable, DatasetError

_FLAGS: Final = os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_PATIENCE: Final = 0.5
"""Seconds that another process has to finish a record that is being read."""


class Moved(Exception):
    """Raised when the log is not the one that was read before: it began anew, was removed, replaced or cut."""


class ChangeLog:
    """The log, open in this process once there is one. Whoever writes has the database's lock for writing.

    Args:
        path: The file; it may be missing.

    Attributes:
        position: Where the last record that this process knows ends.

    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.position = HEADER_SIZE
        self._descriptor = -1
        self._header = b""
        self._names = LogNames()

    @property
    def size(self) -> int:
        """Bytes of the records that this process knows."""
        return self.position - HEADER_SIZE

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._descriptor >= 0

    def records(self, *, again: bool = False) -> list[LogRecord]:
        """Return the records behind `position`, or all of them; what is torn at the end is none.

        Raises:
            Moved: The log is not the one that was read before; `open_anew` comes first.
            DatabaseUnreadable: It is damaged.

        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._check_moved()
            if self._descriptor < 0:
                return []
            start = HEADER_SIZE if again else self.position
            size = self._length()
            if size <= start or not any(self._header):
                return []
            data = pread(self._descriptor, size - start, start)
            self._check_moved()
            try:
                return list(parsed(self._header, data, start, self._names))
            except ValueError as error:
                if time.monotonic() > deadline:
                    raise DatabaseUnreadable(
                        f"the log of the dataset database, {self.path}, {error}. Put a copy of it back, or move it "
                        "away to go on without the changes in it"
                    ) from None
                time.sleep(0.02)

    def open_anew(self) -> None:
        """Open the file that has the name now, if there is one, and know none of its records.

        Raises:
            DatabaseUnreadable: It is no log.

        """
        self.close()
        try:
            self._descriptor = once_free(self._opened)
            is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            header = pread(self._descriptor, HEADER_SIZE, 0) if is_file else b"none"
        except FileNotFoundError:
            return
        except OSError as error:
            is_held = os.name == "nt" and isinstance(error, PermissionError)
            raise DatabaseUnreadable(
                f"cannot open the log of the dataset database, {self.path}: {error.strerror}"
                + ("; close the program that has it open" if is_held else "")
            ) from error
        if any(header) and not is_header(header):  # zeros: the power went before anything was kept in it
            self.close()
            raise DatabaseUnreadable(
                f"{self.path} is no log of a dataset database, or damaged. Put a copy of it back, or move it away to "
                "go on without the changes in it"
            )
        self._header = header

    def append(self, name: bytes, digest: bytes, kind: bytes, change: bytes) -> int:
        """Put a change of a dataset on the disk, and return where its record ends; `position` stays as it is.

        Args:
            name: Name of the dataset.
            digest: Of its text in the database.
            kind: Kind of the record.
            change: What follows the number in it.

        Raises:
            DatasetError: It cannot be written; nothing was changed.

        """
        try:
            if len(self._header) < HEADER_SIZE or not any(self._header):
                self._begin()
            number, bodies = self._names.number(name, digest), []
            if number is None:
                number = self._names.next_number()
                bodies = [name_body(number, name, digest)]
            return self._write([*bodies, body(kind, number, change)], sync=True)
        except OSError as error:
            raise DatasetError(
                f"cannot keep a change in {self.path}: {error.strerror}. Nothing was changed"
            ) from error

    def took(self, end: int, name: bytes, digest: bytes) -> None:
        """Take note that this process knows the record that it has appended. Idempotent."""
        if self._names.number(name, digest) is None:
            self._names.know(self._names.next_number(), name, digest)
        self.position = end

    def note_folded(self, digests: dict[bytes, bytes]) -> None:
        """Record which texts the database will have once the log is folded into it.

        Raises:
            DatasetError: It cannot be written.

        """
        bodies = [
            body(b"f", number, digests[name]) for number, name in self._names.numbers() if name in digests
        ]
        try:
            self.position = self._write(bodies, sync=False)
        except OSError as error:
            raise DatasetError(f"cannot write {self.path}: {error.strerror}. Nothing was changed") from error

    def reset(self) -> None:
        """Remove all records, if this process knows all of them: they are in the database.

        Raises:
            OSError: It cannot be written.

        """
        if self._is_known():
            self._begin()

    def remove(self) -> None:
        """Remove a log without records; nothing is done where there are any."""
        if self._is_known() and not self.size:
            self.close()
            with contextlib.suppress(OSError):  # Windows removes no file that another process has open
                self.path.unlink()

    def check(self) -> None:
        """Raise DatabaseLost unless the file that is open has the name."""
        if self._descriptor >= 0 and not self._is_in_place():
            raise self.lost()

    def lost(self) -> DatabaseLost:
        """Return the error that the log, with changes that are nowhere else, is not there any more."""
        return DatabaseLost(
            f"the log of the dataset database, {self.path}, was removed, replaced or cut while this program had it "
            "open: nothing more is kept in it. End all programs that use it, put a copy back, and start them again"
        )

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._forget(b"")

    def _begin(self) -> None:
        """Begin a new generation, in an empty or in a new file."""
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_CREAT | _FLAGS
            self._descriptor = once_free(lambda: open_bytes(self.path, flags, 0o664))
            sync_folder_of(self.path)
        else:
            os.ftruncate(self._descriptor, 0)
        self._forget(new_header())
        _write_all(self._descriptor, self._header)

    def _forget(self, header: bytes) -> None:
        self._header, self._names, self.position = header, LogNames(), HEADER_SIZE

    def _write(self, bodies: list[bytes], *, sync: bool) -> int:
        """Write records behind the last whole one, and return where they end."""
        if self._length() > self.position:  # torn by a process that was killed, or by a signal
            os.ftruncate(self._descriptor, self.position)
        data = b"".join(framed(self._header, each) for each in bodies)
        try:
            _write_all(self._descriptor, data)
            if sync:
                sync_descriptor(self._descriptor, data_only=True)
        except OSError:
            os.ftruncate(self._descriptor, self.position)
            raise
        return self.position + len(data)

    def _check_moved(self) -> None:
        if self._descriptor < 0:
            if self.path.exists():
                raise Moved
            return
        if not self._is_in_place() or pread(self._descriptor, HEADER_SIZE, 0) != self._header:
            raise Moved
        if self.size and self._length() < self.position:
            raise Moved

    def _is_known(self) -> bool:
        """Return whether the file is in its place, and this process knows all that is in it."""
        if self._descriptor < 0 or not self._is_in_place() or self._length() > self.position:
            return False
        return pread(self._descriptor, HEADER_SIZE, 0) == self._header

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def _length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _opened(self) -> int:
        try:
            return open_bytes(self.path, os.O_RDWR | _FLAGS)
        except OSError as error:
            is_held = os.name == "nt" and os.access(self.path, os.W_OK)
            if error.errno not in _DENIED or is_held:
                raise
            return open_bytes(self.path, os.O_RDONLY | _FLAGS)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[os.write(descriptor, view) :]

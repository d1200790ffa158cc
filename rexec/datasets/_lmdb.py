"""Persistent datasets in ARTIQ's file: LMDB, one file, key UTF-8, value PYON of (value, metadata).

Any number of our processes share the file: docs/decisions/0024-a-dataset-database-is-shared.md. Transactions are short,
and each look first asks whether another process has written since.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import lmdb

from devicedb.opening import once_free
from rexec.datasets._lmdb_check import check_file, read_meta, refused
from rexec.datasets._lmdb_claim import Claim
from rexec.datasets._lmdb_new import FIRST_MAP
from rexec.datasets._locks import reserve_lock_file
from rexec.datasets._texts import Changes, Writing, digest_of
from rexec.datasets.errors import DatabaseLost, DatabaseUnreadable, DatasetError, DatasetTooLarge

MAP_SIZE: Final = 2**30
"""Size in bytes that the file can grow to: ARTIQ's."""

_LOCK_SIZE: Final = 2 << 12
"""Bytes of LMDB's lock file for 126 readers, its default, in whole pages."""


class PersistentStore:
    """The file, open in this process. Not for several threads at once.

    Each change is a transaction that is on the disk when the method returns. Before each look and before each
    acknowledgement the file is compared with the one that was opened.

    Args:
        path: The LMDB file; it is made where it is missing.
        is_master: Whether it is kept for subscribers: there can be one such process.

    Raises:
        DatabaseInUse: A program that does not share the file has it, or there is a master already.
        DatabaseUnreadable: It is no LMDB file, cut, or damaged.
        DatasetError: It cannot be opened.

    """

    def __init__(self, path: Path, *, is_master: bool = False) -> None:
        self.path: Final = path
        self._digests: dict[bytes, bytes] = {}
        self._seen: int | None = None
        self._size = 0
        self._claim: Final = Claim(path, is_master=is_master)
        try:
            self.is_read_only = not os.access(path, os.W_OK)
            check_file(path)
            self._env = once_free(self._opened, refusals=lmdb.Error)
        except BaseException as error:
            self._claim.close()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DatasetError(f"cannot open the dataset database {path}: {error.strerror}") from error
            if isinstance(error, lmdb.Error | OSError):
                # LMDB has one class for what the system says, in the user's language: it says nothing of the file.
                if isinstance(error, PermissionError) or type(error) is lmdb.Error:
                    raise refused(path, error) from error
                raise DatabaseUnreadable(
                    f"cannot open the dataset database {path}: {error}. Put a copy of it back, or move it away "
                    "to start with an empty one"
                ) from error
            raise

    @property
    def log_path(self) -> Path:
        """The file beside it that holds changes which are not in it yet."""
        return self._claim.real.with_name(f"{self._claim.real.name}-log")

    def changes(self) -> Changes | None:
        """Return what other processes have changed since `took` was called last; None where they have not.

        Raises:
            DatabaseLost: The file is no longer the one that was opened.

        """
        self.check()
        if self._env.info()["last_txnid"] == self._seen:
            return None
        with self._begun(write=False) as transaction:
            return self._scan(transaction, transaction.id())

    def took(self, changes: Changes) -> None:
        """Take note that changes by other processes are known."""
        for name, digest in changes.digests.items():
            self._know(name, digest)
        self._seen = changes.transaction
        self._note_size()

    def digest(self, name: bytes) -> bytes | None:
        """Return the digest of a text as it was when this process looked last; None: there is none."""
        return self._digests.get(name)

    def forget(self, names: Iterable[bytes]) -> None:
        """Forget some texts, so that the next look returns them as changed."""
        for name in names:
            self._digests.pop(name, None)
        self._seen = None

    def has_room(self, length: int) -> bool:
        """Return whether so many bytes can be written beside what is in the file."""
        return self._size + length < MAP_SIZE

    @contextmanager
    def writing(self, key: str) -> Iterator[Writing]:
        """Change the file in one transaction; nothing is changed where the block raises.

        It begins with what other processes have changed (`Writing.changes`), so that the change is made to what is
        there now.

        Args:
            key: Name of the dataset that is changed, for errors; "": several, or none.

        Raises:
            DatabaseLost: The file is no longer the one that was opened.
            DatasetTooLarge: The file would outgrow ARTIQ's limit.
            DatasetError: It cannot be written.

        """
        if self.is_read_only:
            raise DatasetError(
                f"cannot keep dataset {key!r}: you may not write the dataset database {self.path}"
            )
        self.check()
        try:
            with self._begun(write=True) as transaction:
                writing = Writing(transaction)
                if transaction.id() != (self._seen or 0) + 1:
                    writing.changes = self._scan(transaction, transaction.id() - 1)
                yield writing
                number = transaction.id()
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            what = f"dataset {key!r}" if key else "what was changed last"
            raise DatasetError(f"cannot keep {what} in {self.path}: {error}. Nothing was changed") from error
        self.check()
        if writing.digests:
            # A transaction that changes nothing leaves no trace.
            self._seen = number
        for name, digest in writing.digests.items():
            self._know(name, digest)
        self._note_size()

    def grow(self, key: str, length: int) -> None:
        """Make room for more after a MapFullError.

        Raises:
            DatasetTooLarge: The file has the largest size already.

        """
        size = self._env.info()["map_size"]
        if size >= MAP_SIZE:
            raise DatasetTooLarge(
                f"cannot persist dataset {key!r} of {length} bytes: {self.path} would outgrow {MAP_SIZE} bytes, the "
                "size that ARTIQ opens it with; keep large arrays in result files, or remove old datasets"
            )
        self._env.set_mapsize(min(2 * size, MAP_SIZE))

    def close(self) -> None:
        """Close the file. Twice is no error."""
        self._env.close()
        self._claim.close()

    def _opened(self) -> Any:
        """Open the file with a map of at least its size.

        On Windows LMDB would cut a larger file to its map, which is refused while another process has it mapped.
        """
        while True:
            size = self._size_on_disk()
            try:
                return self._opened_with(max(FIRST_MAP, size))
            except lmdb.Error:
                if self._size_on_disk() <= size:  # else another process has just let it grow
                    raise

    def _size_on_disk(self) -> int:
        with suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def _opened_with(self, map_size: int) -> Any:
        options: dict[str, Any] = {"subdir": False, "map_size": map_size}
        if not self.is_read_only:
            reserve_lock_file(self.path, _LOCK_SIZE)
            return lmdb.open(str(self.path), **options)
        try:
            return lmdb.open(str(self.path), readonly=True, **options)
        except lmdb.Error:
            # The lock file cannot be made there.
            return lmdb.open(str(self.path), readonly=True, lock=False, **options)

    @contextmanager
    def _begun(self, *, write: bool) -> Iterator[Any]:
        try:
            begun = self._env.begin(write=write, buffers=True)
        except lmdb.MapResizedError:
            # Another process has made the file larger.
            self._env.set_mapsize(0)
            begun = self._env.begin(write=write, buffers=True)
        with begun as transaction:
            yield transaction

    def _scan(self, transaction: Any, number: int) -> Changes:
        """Return the differences between the file and what this process knows of it."""
        texts: dict[bytes, bytes | None] = {}
        digests: dict[bytes, bytes | None] = {}
        removed = set(self._digests)
        for name, text in transaction.cursor():
            key = bytes(name)
            removed.discard(key)
            digest = digest_of(text)
            if self._digests.get(key) != digest:
                texts[key], digests[key] = bytes(text), digest
        gone = dict.fromkeys(removed)
        return Changes({**texts, **gone}, {**digests, **gone}, number)

    def _know(self, name: bytes, digest: bytes | None) -> None:
        if digest is None:
            self._digests.pop(name, None)
        else:
            self._digests[name] = digest

    def check(self) -> None:
        """Raise unless the file of that name is the one that is open, whole, and not older than what was seen."""
        what = None
        try:
            there = os.stat(self._claim.real)
        except OSError:
            what = "was removed"
        else:
            here = os.fstat(self._claim.descriptor)
            if not os.path.samestat(here, there):
                what = "was replaced by another file"
            elif there.st_size < self._size:
                what = f"was cut to {there.st_size} bytes"
            elif self._seen is not None and self._seen > self._transaction():
                what = "was overwritten by an older one"
        if what is not None:
            raise DatabaseLost(
                f"the dataset database {self.path} {what} while this program had it open: nothing more is kept in it. "
                "End all programs that use it, put a copy of the file back, and start them again"
            )

    def _transaction(self) -> int:
        try:
            return read_meta(self._claim.descriptor).transaction
        except ValueError:
            return -1

    def _note_size(self) -> None:
        info = self._env.info()
        self._size = (info["last_pgno"] + 1) * self._env.stat()["psize"]

"""Persistent datasets in ARTIQ's file: LMDB, one file, key UTF-8, value PYON of (value, metadata)."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import lmdb

from rexec.datasets._locks import claim, release
from rexec.datasets.errors import DatabaseInUse, DatabaseUnreadable, DatasetError, DatasetTooLarge
from rexec.datasets.types import Metadata
from rexec.wire import pyon, pyon_v1

_log = logging.getLogger(__name__)

MAP_SIZE: Final = 2**30
"""Size in bytes that the file can grow to: ARTIQ's."""

MAX_KEY: Final = 511
"""Longest name in bytes that LMDB takes."""


class PersistentStore:
    """The file, open for writing by this process alone.

    Each change is a transaction that is on the disk when the method returns.

    Args:
        path: The LMDB file.

    Raises:
        DatabaseInUse: Another process has it open.
        DatabaseUnreadable: It cannot be opened.

    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._real: Final = path.resolve()
        self._claim = _claim(path, self._real)
        try:
            self._env = lmdb.open(str(path), subdir=False, map_size=MAP_SIZE, max_readers=32)
        except (lmdb.Error, OSError) as error:
            self._let_go()
            raise DatabaseUnreadable(
                f"cannot open the dataset database {path}: {error}; it is no LMDB file, or damaged. "
                "Move it away to start with an empty one"
            ) from error
        self._closed = False
        self._warned = False
        self._last: int = self._env.info()["last_txnid"]

    def load(self) -> Iterator[tuple[str, Any, Metadata]]:
        """Yield (key, value, metadata) of everything in the file."""
        with self._env.begin() as transaction:
            for key, text in transaction.cursor():
                yield (name := bytes(key).decode("utf-8")), *_decode(self.path, name, bytes(text))

    def put(self, key: str, value: Any, metadata: Metadata) -> None:
        """Store a dataset.

        Raises:
            TypeError: The value has no PYON form.
            DatasetTooLarge: The name is longer than LMDB takes, or the file would outgrow ARTIQ's limit.

        """
        name = key.encode("utf-8")
        if not 0 < len(name) <= MAX_KEY:
            raise DatasetTooLarge(
                f"cannot persist dataset {key[:40]!r}…: its name has {len(name)} bytes, LMDB takes 1 to "
                f"{MAX_KEY}"
            )
        text = pyon.encode((value, metadata)).encode("ascii")
        try:
            with self._transaction() as transaction:
                transaction.put(name, text)
        except lmdb.MapFullError as error:
            raise DatasetTooLarge(
                f"cannot persist dataset {key!r} of {len(text)} bytes: {self.path} would outgrow "
                f"{MAP_SIZE} bytes, the size that ARTIQ opens it with; keep large arrays in result files, or "
                "remove old datasets"
            ) from error
        except lmdb.Error as error:
            raise DatasetError(f"cannot persist dataset {key!r} in {self.path}: {error}") from error

    def remove(self, key: str) -> None:
        """Remove a dataset; one that is not there is no error."""
        try:
            with self._transaction() as transaction:
                transaction.delete(key.encode("utf-8"))
        except lmdb.Error as error:
            raise DatasetError(f"cannot remove dataset {key!r} from {self.path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Change the file, and say so once if somebody else has: an ARTIQ master asks for no lock."""
        with self._env.begin(write=True) as transaction:
            number = transaction.id()
            if number != self._last + 1 and not self._warned:
                self._warned = True
                _log.error(
                    "another process has changed the dataset database %s, which this one has open: each overwrites "
                    "the other's datasets. End one of them",
                    self.path,
                )
            yield transaction
        self._last = number

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if not self._closed:
            self._closed = True
            self._env.close()
            self._let_go()

    def _let_go(self) -> None:
        release(self._real)
        os.close(self._claim)


def _claim(path: Path, real: Path) -> int:
    """Return an open file that holds this process's claim on the database; closing it gives the claim up."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise DatasetError(
            f"cannot open the dataset database {path}: {error.strerror}; name one in a folder that you may "
            "write"
        ) from error
    holder = claim(descriptor, real)
    if holder is not None:
        os.close(descriptor)
        raise DatabaseInUse(
            f"the dataset database {path} is open in {holder}; two writers would lose each other's datasets. "
            "Use --master to share a master's, end the other one, or name another file with --dataset-db"
        )
    return descriptor


def _decode(path: Path, key: str, text: bytes) -> tuple[Any, Metadata]:
    """Return the value and metadata of one stored dataset, written by ARTIQ of any release or by us."""
    try:
        decoded = pyon.decode(text) if text[:1] == b"{" else pyon_v1.decode(text.decode("utf-8"))
        value, metadata = decoded
        return value, dict(metadata)
    except (TypeError, ValueError) as error:
        raise DatabaseUnreadable(
            f"dataset {key!r} in {path} is not PYON of (value, metadata): {error}; it begins {text[:60]!r}"
        ) from error

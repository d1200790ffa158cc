"""Persistent datasets in ARTIQ's file: LMDB, one file, key UTF-8, value PYON of (value, metadata)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lmdb

from rexec.datasets._locks import try_lock, used_by_artiq
from rexec.datasets.errors import DatabaseInUse, DatabaseUnreadable, DatasetError, DatasetTooLarge
from rexec.datasets.types import Metadata
from rexec.wire import pyon, pyon_v1

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
        self._claim = _claim(path)
        try:
            self._env = lmdb.open(str(path), subdir=False, map_size=MAP_SIZE, max_readers=32)
        except (lmdb.Error, OSError) as error:
            os.close(self._claim)
            raise DatabaseUnreadable(
                f"cannot open the dataset database {path}: {error}; it is no LMDB file, or damaged. "
                "Move it away to start with an empty one"
            ) from error
        self._closed = False

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
            with self._env.begin(write=True) as transaction:
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
            with self._env.begin(write=True) as transaction:
                transaction.delete(key.encode("utf-8"))
        except lmdb.Error as error:
            raise DatasetError(f"cannot remove dataset {key!r} from {self.path}: {error}") from error

    def close(self) -> None:
        """Close the file. Twice is no error."""
        if not self._closed:
            self._closed = True
            self._env.close()
            os.close(self._claim)


def _claim(path: Path) -> int:
    """Return an open file that holds this process's claim on the database; closing it gives the claim up."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise DatasetError(
            f"cannot open the dataset database {path}: {error.strerror}; name one in a folder that you may "
            "write"
        ) from error
    if not try_lock(descriptor) or used_by_artiq(path):
        os.close(descriptor)
        raise DatabaseInUse(
            f"the dataset database {path} is open in another process (a master, or another run); two "
            "writers would lose each other's datasets. Use --master to share the master's, or give this run "
            "another file"
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

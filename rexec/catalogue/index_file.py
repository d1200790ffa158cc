"""The file of an index: an SQLite file that is used as it stands only if nobody but this module has written it.

After each commit, the time of its last modification is set to a value that follows from SQLite's own counter of
changes. Any other time (a kill between commit and that, a copy, a torn write) makes the next user check it row by
row.
"""

import contextlib
import os
import sqlite3
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rexec.catalogue.schema import APPLICATION, TABLES, VERSION

_PATIENCE: Final = 10.0
"""Seconds for which another process may write."""


class IndexUnusable(Exception):
    """Raised when there is an index that this release must leave alone."""


class IndexFile:
    """The SQLite file of an index, open, and whether it can be trusted.

    Args:
        path: The file; it is made if there is none. None: a temporary one, for this process alone.

    Raises:
        IndexUnusable: It was written by a newer version.
        sqlite3.Error: It cannot be used.

    """

    def __init__(self, path: Path | None) -> None:
        self.path: Final = path
        self.checked = False
        """Whether each row was checked when it was opened: then each folder is to be listed again."""
        if path is not None:
            self._refuse_what_is_no_file(path)
        self._connection = self._connected()
        try:
            if not self._is_whole():
                self._begin_anew()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Twice is no error."""
        self._connection.close()

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        return self._connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Have the block read the index as it was at one moment."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make all writes of the block one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.forget()
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._seal()

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> int | None:
        """Write by a statement, only within `writing`; return the number of the row that was added."""
        return self._connection.execute(statement, tuple(parameters)).lastrowid

    def is_sound(self) -> bool:
        """Check each row, and remove those that are not what was written. False: the file itself is damaged."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what was read of the file: a write was rolled back, or the file is another one."""

    @staticmethod
    def _refuse_what_is_no_file(path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):  # SQLite would wait for a pipe
                raise IndexUnusable(f"{path} is no regular file")

    def _connected(self) -> sqlite3.Connection:
        # "" is a temporary file of SQLite: an index of a large folder does not fit into memory.
        connection = sqlite3.connect(
            "" if self.path is None else self.path,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(
                "PRAGMA synchronous = NORMAL" if self.path is not None else "PRAGMA synchronous = OFF"
            )
            connection.execute("PRAGMA cache_size = -16000")
            # SQLite's journal stays, empty: to make and remove it would change the folder's time at each write.
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            connection.close()  # an error holds on to this frame, and Windows removes no open file
            raise
        return connection

    def _is_whole(self) -> bool:
        """Return whether the index can be used; rows that are not what was written are removed."""
        try:
            (version,), (application,) = (
                self.rows(f"PRAGMA {name}")[0] for name in ("user_version", "application_id")
            )
            if not version and not application and not self.rows("SELECT name FROM sqlite_master"):
                return False
            if application == APPLICATION and version > VERSION:
                raise IndexUnusable(f"{self.path} is an index of a newer version")
            if application != APPLICATION or version != VERSION:
                return False
            return self.path is None or self.is_sealed_file(self.path) or self.is_sound()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise
            return False

    def _begin_anew(self) -> None:
        """Replace whatever is in the file by empty tables."""
        if self.path is not None and self.rows("PRAGMA page_count") != [(0,)]:
            self._connection.close()
            for path in (Path(f"{self.path}-journal"), self.path):
                path.unlink(missing_ok=True)
            self._connection = self._connected()
        with self.writing():
            if not self.rows("SELECT name FROM sqlite_master"):  # no other process was faster
                for statement in TABLES:
                    self.execute(statement)
                self.execute(f"PRAGMA application_id = {APPLICATION}")
                self.execute(f"PRAGMA user_version = {VERSION}")

    @staticmethod
    def is_sealed_file(path: Path) -> bool:
        """Return whether a file is as the last commit of this module left it."""
        return os.stat(path).st_mtime_ns % _SECOND == _stamp(path)

    def _seal(self) -> None:
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            found = os.stat(self.path)
            whole = found.st_mtime_ns // _SECOND * _SECOND
            os.utime(self.path, ns=(found.st_atime_ns, whole + _stamp(self.path)))


_SECOND: Final = 10**9
_COUNTER: Final = struct.Struct(">I")


def _stamp(path: Path) -> int:
    """Return the fraction of a second, in nanoseconds, that the time of a sealed file has."""
    with open(path, "rb") as file:
        head = file.read(28)
        size = os.fstat(file.fileno()).st_size
    return zlib.crc32(head[24:28] + _COUNTER.pack(size & 0xFFFFFFFF)) % 1_000_000 * 1000


def _is_damage(error: sqlite3.Error) -> bool:
    return error.sqlite_errorname in {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"}

"""A process's share in a database file, and its claim to be the one that keeps it for subscribers."""

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import Final

from devicedb.opening import once_free, open_bytes
from rexec.datasets._lmdb_check import check_file
from rexec.datasets._lmdb_new import make_empty
from rexec.datasets._locks import master_lock, named, release, share
from rexec.datasets.errors import DatabaseInUse, DatabaseUnreadable, DatasetError
from rexec.ground.locks import try_lock

_PATIENCE: Final = 2.0
"""Seconds that another program has to write the first pages of a new file."""

_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}


class Claim:
    """The share, until it is closed.

    Args:
        path: The LMDB file; it is made where it is missing.
        is_master: Whether it is kept for subscribers: there can be one such process.

    Attributes:
        real: The path of the file itself, links followed.
        descriptor: The open file.

    Raises:
        DatabaseInUse: A program that does not share the file has it, or there is a master already.
        DatabaseUnreadable: It is no LMDB file, cut, or damaged.
        DatasetError: It cannot be opened.

    """

    def __init__(self, path: Path, *, is_master: bool) -> None:
        self.real: Final = path.resolve()
        check_file(path)
        _check_not_emptied(path)
        with contextlib.ExitStack() as stack:
            if is_master:
                stack.callback(os.close, _claimed_as_master(path))
            make_empty(self.real)
            self.descriptor: Final = _open_file(path)
            stack.callback(os.close, self.descriptor)
            user = share(self.descriptor, self.real)
            if user is not None:
                raise DatabaseInUse(
                    f"the dataset database {path} is open in {user}, which does not share it. Use --master to work "
                    "with a master's datasets, end the other program, or name another file with --dataset-db"
                )
            stack.callback(release, self.real)
            self._open: Final = stack.pop_all()

    def close(self) -> None:
        """Give up the share. Twice is no error."""
        self._open.close()


def _check_not_emptied(path: Path) -> None:
    """Raise DatabaseUnreadable where a file that was in use has lost everything.

    LMDB makes its lock file first, so that another program may be about to write the first pages.
    """
    end = time.monotonic() + _PATIENCE
    while path.is_file() and not path.stat().st_size and path.with_name(f"{path.name}-lock").exists():
        if time.monotonic() > end:
            raise DatabaseUnreadable(
                f"the dataset database {path} is empty, although it was in use: it was cut. Put a copy of it back, or "
                "remove it to start with an empty one"
            )
        time.sleep(0.02)


def _open_file(path: Path) -> int:
    try:
        try:
            patience = None if os.access(path, os.W_OK) else 0.0
            return once_free(lambda: open_bytes(path, os.O_RDWR), patience)
        except OSError as error:
            if error.errno not in _DENIED or not path.exists():
                raise
            return open_bytes(path, os.O_RDONLY)
    except OSError as error:
        raise DatasetError(
            f"cannot open the dataset database {path}: {error.strerror}; name one in a folder that you may write"
        ) from error


def _claimed_as_master(path: Path) -> int:
    lock = master_lock(path)
    try:
        descriptor = open_bytes(lock, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise DatasetError(
            f"cannot be the master of the dataset database {path}: {lock}: {error.strerror}; name one in a folder that "
            "you may write"
        ) from error
    if not try_lock(descriptor):
        holder = os.read(descriptor, 20)
        os.close(descriptor)
        name = named(int(holder)) if holder.isdigit() else "another process"
        raise DatabaseInUse(
            f"the dataset database {path} has a master already, {name}. Use that one with --master, end it, or name "
            "another file with --dataset-db"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor

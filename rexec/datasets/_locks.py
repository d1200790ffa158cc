"""Who may use a database file: any number of our programs, one master, and none that does not share it (ARTIQ's)."""

import errno
import os
import struct
import sys
from pathlib import Path
from typing import Final

import psutil

from devicedb.opening import open_bytes
from rexec.ground.locks import lock_within, share_lock, try_lock
from rexec.ground.space import keep_space

_PATIENCE: Final = 5.0
"""Seconds that another of our programs has to look who else is there, while it keeps us out."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_open_here: Final[set[Path]] = set()
"""Databases that this process has open: it must not touch their lock files, because closing one drops its locks."""


def master_lock(path: Path) -> Path:
    """Return the file that is locked by the master of a database."""
    return path.with_name(f"{path.name}-master")


def share(descriptor: int, path: Path) -> str | None:
    """Share a database with our other programs.

    Whoever comes first looks whether a program that knows nothing of this lock has the file open.

    Args:
        descriptor: The open database file; the share ends when it is closed.
        path: Its path, resolved.

    Returns:
        None, or who has it and does not share it, as text for people.

    """
    if path in _open_here:
        return "this process itself"
    if try_lock(descriptor):
        user = _lmdb_user(path)
        if user is not None:
            return named(user) or "another process"
        share_lock(descriptor)
    elif not lock_within(descriptor, _PATIENCE, shared=True):
        return named(_lmdb_user(path)) or "another process"
    _open_here.add(path)
    return None


def release(path: Path) -> None:
    """Give up what `share` gave; the lock itself ends when the descriptor is closed."""
    _open_here.discard(path)


def reserve_lock_file(path: Path, size: int) -> None:
    """Give LMDB's lock file its room on the disk, before LMDB maps it.

    LMDB makes it without writing it. On a full disk the first use of the map would end this process by SIGBUS.

    Args:
        path: The database, which this process does not have open.
        size: Bytes that LMDB maps, at most.

    Raises:
        OSError: The disk is full, or the file cannot be made.

    """
    if os.name == "nt":
        return  # where a map has its room when it is made
    lock_file = path.with_name(path.name + "-lock")
    descriptor = open_bytes(lock_file, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        if getattr(os.fstat(descriptor), "st_blocks", 0) * 512 < size:
            keep_space(descriptor, size)
    except OSError as error:
        if error.errno in _FULL:
            if os.fstat(descriptor).st_size == 0:
                lock_file.unlink()  # an empty database beside a lock file counts as cut
            raise
    finally:
        os.close(descriptor)


if sys.platform == "win32":  # pragma: no cover - exercised on Windows only

    def _lmdb_user(path: Path) -> int | None:
        """Return 0 where a process has the LMDB file `path` open, None for none; LMDB locks as on other systems."""
        try:
            descriptor = open_bytes(path.with_name(path.name + "-lock"), os.O_RDWR)
        except OSError:  # LMDB itself says what is wrong with it
            return None
        try:
            return None if try_lock(descriptor, place=0) else 0
        finally:
            os.close(descriptor)

else:
    import fcntl

    def _lmdb_user(path: Path) -> int | None:
        """Return the process that has the LMDB file `path` open, 0 for one that is not known, None for none.

        LMDB keeps a shared record lock on the first byte of its lock file while an environment is open, whoever
        opened it: ARTIQ's master knows nothing of our own lock.
        """
        lock_file = path.with_name(path.name + "-lock")
        try:
            descriptor = open_bytes(lock_file, os.O_RDWR)
        except OSError:  # LMDB itself says what is wrong with it
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except (BlockingIOError, PermissionError):
            return _lock_holder(descriptor)
        finally:
            os.close(descriptor)
        return None

    def _lock_holder(descriptor: int) -> int:
        """Return the process that holds a lock on the first byte of an open file, 0 where the system does not say."""
        layouts = {"linux": ("hhqqi4x", 4), "darwin": ("qqihh", 2)}
        if sys.platform not in layouts or struct.calcsize("P") != 8:
            return 0
        layout, position = layouts[sys.platform]
        # struct flock: l_type, l_whence, l_start, l_len, l_pid, in the order of the platform.
        wanted = {
            "linux": (fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0),
            "darwin": (0, 1, 0, fcntl.F_WRLCK, os.SEEK_SET),
        }
        try:
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *wanted[sys.platform]))
        except OSError:
            return 0
        return int(struct.unpack(layout, answer)[position])


def named(pid: int | None) -> str | None:
    """Return a process as people know it: its number and its command line. None for none, and for 0."""
    if not pid:
        return None
    try:
        words = " ".join(psutil.Process(pid).cmdline()).split()
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({' '.join(words)[:120]})" if words else f"process {pid}"

"""Locks between the processes that want to write one database file, and who holds them."""

import os
import struct
import sys
from pathlib import Path
from typing import Final

import psutil

_open_here: Final[set[Path]] = set()
"""Databases that this process has open: it must not touch their lock files, since closing one drops its locks."""

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only

    def claim(descriptor: int, path: Path) -> str | None:
        """Return None: there, LMDB's own lock on the file keeps a second writer out."""
        return None

    def release(path: Path) -> None:
        """Do nothing, for the same reason."""

else:
    import fcntl

    def claim(descriptor: int, path: Path) -> str | None:
        """Claim a database for this process.

        Args:
            descriptor: The open database file.
            path: Its path, resolved.

        Returns:
            None when it was free, else who has it, as text for people.

        """
        if path in _open_here:
            return "this process itself"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _named(_lmdb_user(path)) or "another process"
        user = _lmdb_user(path)
        if user is None:
            _open_here.add(path)
            return None
        return _named(user) or "another process"

    def release(path: Path) -> None:
        """Give up what `claim` gave; the lock itself ends when the descriptor is closed."""
        _open_here.discard(path)

    def _lmdb_user(path: Path) -> int | None:
        """Return the process that has the LMDB file `path` open, 0 for one that is not known, None for none.

        LMDB keeps a shared record lock on the first byte of its lock file while an environment is open, whoever
        opened it: ARTIQ's master knows nothing of our own lock.
        """
        lock_file = path.with_name(path.name + "-lock")
        try:
            descriptor = os.open(lock_file, os.O_RDWR)
        except FileNotFoundError:
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


def _named(pid: int | None) -> str | None:
    """Return a process as people know it: its number and its command line."""
    if not pid:
        return None
    try:
        words = " ".join(psutil.Process(pid).cmdline()).split()
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({' '.join(words)[:120]})" if words else f"process {pid}"

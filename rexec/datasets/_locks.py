"""Locks between the processes that want to write one database file."""

import os
from pathlib import Path

if os.name == "nt":  # pragma: no cover - exercised on Windows only

    def try_lock(descriptor: int) -> bool:
        """Return True: there, LMDB's own lock on the file keeps a second writer out."""
        return True

    def used_by_artiq(path: Path) -> bool:
        """Return False, for the same reason."""
        return False

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process; return whether it was free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def used_by_artiq(path: Path) -> bool:
        """Return whether a process that knows nothing of our lock has the LMDB file `path` open.

        LMDB keeps a shared record lock on the first byte of its lock file while an environment is open. Call
        this only while this process has no environment of that path open: closing the file drops such locks.
        """
        lock_file = path.with_name(path.name + "-lock")
        try:
            descriptor = os.open(lock_file, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except (BlockingIOError, PermissionError):
            return True
        finally:
            os.close(descriptor)
        return False

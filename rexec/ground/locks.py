"""Locks between processes on open files. Each ends with the open file, however its process ends."""

import sys
import time
from typing import Final

FAR: Final = 2**60
"""The byte that is locked on Windows, where locks are mandatory: readers never come this far."""

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import msvcrt
    from ctypes import wintypes

    class _Overlapped(ctypes.Structure):
        """The structure OVERLAPPED, which has the place of a lock."""

        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    _FAIL_IMMEDIATELY: Final = 1
    _EXCLUSIVE: Final = 2

    def try_lock(descriptor: int, *, shared: bool = False, place: int = FAR) -> bool:
        """Lock one byte of an open file; return whether that was possible.

        Args:
            descriptor: Of the file.
            shared: Whether others may share the lock.
            place: Which byte.

        """
        where = _Overlapped(None, None, place % 2**32, place >> 32, None)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
        flags = _FAIL_IMMEDIATELY | (0 if shared else _EXCLUSIVE)
        return bool(ctypes.windll.kernel32.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(where)))

    def share_lock(descriptor: int) -> None:
        """Share a lock that this process has alone."""
        try_lock(descriptor, shared=True)
        where = _Overlapped(None, None, FAR % 2**32, FAR >> 32, None)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
        # Of two locks of one handle on the same byte the exclusive one is released first.
        ctypes.windll.kernel32.UnlockFileEx(handle, 0, 1, 0, ctypes.byref(where))

else:
    import fcntl

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Lock an open file; return whether that was possible.

        Args:
            descriptor: Of the file.
            shared: Whether others may share the lock.

        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share_lock(descriptor: int) -> None:
        """Share a lock that this process has alone."""
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def lock_within(descriptor: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock an open file, and wait for another holder; return whether that was possible in time.

    Args:
        descriptor: Of the file.
        seconds: Longest wait.
        shared: Whether others may share the lock.

    """
    until = time.monotonic() + seconds
    while not try_lock(descriptor, shared=shared):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True

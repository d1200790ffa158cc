"""Opens files: those that are only read may be written, renamed and removed meanwhile, and no pipe is waited for.

And waits where Windows refuses a file that another program has open.
"""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from devicedb.windows_names import check_path

R = TypeVar("R")

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _GENERIC_READ: Final = 0x80000000
    _SHARE_ALL: Final = 0x7
    """FILE_SHARE_READ, FILE_SHARE_WRITE and FILE_SHARE_DELETE: `open` leaves the last one out."""
    _CREATE_NEW: Final = 1
    _OPEN_EXISTING: Final = 3
    _FOR_ITS_OWNER: Final = "D:P(A;;FA;;;OW)(A;;FA;;;BA)(A;;FA;;;SY)"
    """Full access for the owner, administrators and the system. The folder's permissions add none."""
    _INVALID: Final = ctypes.c_void_p(-1).value

    _create_file = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
    _create_file.restype = wintypes.HANDLE
    _create_file.argtypes = (
        *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID),
        *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
    )

    class _Security(ctypes.Structure):
        """The structure SECURITY_ATTRIBUTES."""

        _fields_ = (
            ("length", wintypes.DWORD),
            ("descriptor", ctypes.c_void_p),
            ("inherit", wintypes.BOOL),
        )

    def _refused(path: str | Path) -> OSError:
        code = ctypes.get_last_error()
        return OSError(0, ctypes.FormatError(code).rstrip(". "), str(path), code)  # as Python itself does

    def _open_shared(path: str | Path) -> int:
        handle = _create_file(str(path), _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None)
        if handle == _INVALID:
            refused = _refused(path)
            if isinstance(refused, PermissionError) and os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            raise refused
        return msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT)

    def _make_for_its_owner(path: str | Path) -> None:
        """Make an empty file that only its owner and administrators can open.

        Raises:
            FileExistsError: There is something of that name.
            OSError: It cannot be made.

        """
        if "\0" in str(path):  # Windows would end the name there
            raise ValueError("embedded null character in path")
        advapi, kernel = ctypes.WinDLL("advapi32", use_last_error=True), ctypes.WinDLL("kernel32")
        security = _Security(ctypes.sizeof(_Security), None, False)
        at = ctypes.byref(security, _Security.descriptor.offset)
        if not advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(_FOR_ITS_OWNER, 1, at, None):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            handle = _create_file(
                str(path), _GENERIC_READ, _SHARE_ALL, ctypes.byref(security), _CREATE_NEW, 0, None
            )
        finally:
            kernel.LocalFree(ctypes.c_void_p(security.descriptor))
        if handle == _INVALID:
            raise _refused(path)
        kernel.CloseHandle(wintypes.HANDLE(handle))


_BINARY: Final = getattr(os, "O_BINARY", 0)
_REFUSES_HELD_FILES: Final = os.name == "nt"
"""Whether the system refuses to replace or remove a file that another program has open, and to open one meanwhile."""

PATIENCE: Final = 5.0
"""Seconds for which a program that keeps others from a file is waited for."""


def once_free(
    do: Callable[[], R],
    seconds: float | None = None,
    refusals: type[Exception] | tuple[type[Exception], ...] = PermissionError,
) -> R:
    """Do something with a file, and on Windows try again while another program keeps the file from it.

    Args:
        do: Does it.
        seconds: Longest wait; None: `PATIENCE`.
        refusals: What it raises then.

    Raises:
        OSError: It is still refused; on other systems at once.

    """
    until = time.monotonic() + (PATIENCE if seconds is None else seconds)
    pause = 0.001
    while True:
        try:
            return do()
        except refusals:
            if not _REFUSES_HELD_FILES or time.monotonic() > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.01)  # a reader that comes back at once leaves short gaps


def open_bytes(path: str | Path, flags: int, mode: int = 0o777) -> int:
    """Return a descriptor of a file's bytes, as `os.open` does on POSIX.

    On Windows, unless it is told otherwise, `os.open` takes a file for text: it removes the last byte of one that it
    opens to read and write, if that byte is 26 (Ctrl-Z), and ends of lines are changed on their way.

    It is an `opener` of `open`, too.

    Args:
        path: The file.
        flags: Of `os.open`.
        mode: Permissions of a new file. Windows knows only whether it is for its owner alone, and administrators.

    Raises:
        OSError: It cannot be opened, or would be made and Windows, on which this runs, takes its name otherwise.

    """
    if flags & os.O_CREAT:
        check_path(Path(path))
    if sys.platform == "win32" and flags & os.O_CREAT and not mode & 0o077:
        try:
            _make_for_its_owner(path)
            flags &= ~os.O_EXCL
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
    return os.open(path, flags | _BINARY, mode)


def why_not_opened(error: OSError) -> str:
    """Return why a file could not be opened, for a message.

    Args:
        error: It names the file. Of a folder, Windows says only that permission is denied.

    """
    if isinstance(error, PermissionError) and error.filename is not None and os.path.isdir(error.filename):
        return os.strerror(errno.EISDIR)
    return error.strerror or str(error)


def open_to_read(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor that reads the bytes of a file, which others may write, rename and remove meanwhile.

    It is an `opener` of `open`, too.

    Args:
        path: The file.
        flags: What `open` passes; the file is only read in any case.

    Raises:
        OSError: It cannot be opened. On Windows, that is IsADirectoryError of a folder.

    """
    if sys.platform == "win32":
        return _open_shared(path)
    else:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe may have no writer

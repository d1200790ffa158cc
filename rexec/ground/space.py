"""Room on the disk, kept for a file before it is written: a full disk is then met in time."""

import errno
import os
import struct
import sys

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import msvcrt
    from ctypes import wintypes

    def keep_space(descriptor: int, size: int) -> None:
        """Have the system keep so many bytes for an open file, which then is as long, or raise OSError."""
        if os.fstat(descriptor).st_size >= size:
            return
        end = ctypes.c_int64(size)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
        # 6: the end of the file. NTFS allocates what is before it, and writes no zeros.
        if not kernel.SetFileInformationByHandle(handle, 6, ctypes.byref(end), ctypes.sizeof(end)):
            raise ctypes.WinError(ctypes.get_last_error())

elif sys.platform == "darwin":
    import fcntl
    from typing import Final

    _PREALLOCATE: Final = 42
    """F_PREALLOCATE, which Python knows by name from 3.12 on."""
    _ZEROS: Final = bytes(1 << 20)

    def keep_space(descriptor: int, size: int) -> None:
        """Have the system keep so many bytes for an open file, which then is as long, or raise OSError."""
        more = size - os.fstat(descriptor).st_size
        if more > 0:
            try:
                # struct fstore: all of it, from the file's end on.
                fcntl.fcntl(descriptor, _PREALLOCATE, struct.pack("=IiqqQ", 4, 3, 0, more, 0))
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                while more > 0:  # a file system without it, such as exFAT
                    more -= os.pwrite(descriptor, _ZEROS[:more], size - more)
            os.ftruncate(descriptor, size)

else:

    def keep_space(descriptor: int, size: int) -> None:
        """Have the system keep so many bytes for an open file, which then is as long, or raise OSError."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)

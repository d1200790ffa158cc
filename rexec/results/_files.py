"""Files that appear whole or not at all, and locks between processes."""

import errno
import glob
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process; return whether it was free."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process; return whether it was free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file `path`, waiting at most `timeout` seconds for another holder.

    The lock belongs to the open file: it ends with the process, however that ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + timeout
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is locked by another process for over {timeout:g} s")
            time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names that were created, renamed or removed in `folder` survive a loss of power."""
    if sys.platform == "win32":  # pragma: no cover - a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)  # type: ignore[unreachable, unused-ignore]
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no sync of folders: their names are safe once the server has them.
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the content of a file survive a loss of power."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, path: Path) -> None:
    """Put the finished file `temporary` in the place of `path`: whole, and on the disk, or not at all."""
    sync_file(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def temporary_beside(path: Path) -> Path:
    """Return the name of a temporary file in the folder of `path` that belongs to this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove what was written beside the result file `path` on the way to it."""
    ours = re.compile(re.escape(f".{path.name}.") + r"(working|previous|\d+\.tmp)")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if ours.fullmatch(left.name):
            left.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file whole: temporary file, fsync, rename, fsync of the folder."""
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(data)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def pread(descriptor: int, count: int, start: int) -> bytes:
    """Return at most so many bytes of an open file from an offset on."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, start)  # type: ignore[no-any-return, unused-ignore]
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows has no pread; nobody else reads by this descriptor
    return os.read(descriptor, count)

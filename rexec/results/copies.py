"""The copies of a result file: the one that is shown, whole and unlocked at any time, and the one that is worked on.

A *working file* beside the shown one is brought up to date and put in its place by a rename. The next working file
comes about in one of three ways:

* A file system that shares blocks between files (btrfs, XFS) makes the copy for nothing.
* A small file is copied.
* Large files alternate between two copies (double buffering): the file that was shown before the present one lacks two
  refreshes; it is used again, unless somebody has it open or has linked to it.
"""

import os
from pathlib import Path
from typing import Final

from devicedb.opening import open_bytes, open_to_read
from rexec.results._files import publish, temporary_beside
from rexec.results.hdf5.file import FoldedFile

TWO_COPIES_FROM: Final = 8 * 2**20
"""Bytes from which on copying a file at every refresh costs more than keeping two of them."""

_FICLONE: Final = 0x40049409


class Copies:
    """The copies of one result file.

    Args:
        path: The result file.
        identifier: Identifier of the journal that it is made of.

    """

    def __init__(self, path: Path, identifier: bytes) -> None:
        self.path = path
        self._identifier: Final = identifier
        self._working: FoldedFile | None = None
        self._working_is: _Stamp = None
        self._shown: FoldedFile | None = None
        self._shown_is: _Stamp = None
        self._before: FoldedFile | None = None
        self._before_is: _Stamp = None

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused, as text."""
        folded = self._working or self._shown
        return folded.problems if folded is not None else []

    @property
    def all(self) -> list[FoldedFile]:
        """Every file that may be worked on next."""
        return [file for file in (self._working, self._shown, self._before) if file is not None]

    @property
    def is_one(self) -> bool:
        """Whether one working file is all that there is, or none."""
        return self._shown is None and self._before is None

    @property
    def are_two(self) -> bool:
        """Whether the next working file is an older one, which lacks what two refreshes have written."""
        return self._working is None and self._before is not None

    def forget(self) -> None:
        """Use none of them again: the next working file is a new one."""
        self._working = self._shown = self._before = None

    def keep(self, working: FoldedFile) -> None:
        """Take note that a working file was brought up to date."""
        self._working, self._working_is = working, _stamp(working.path)

    def next(self) -> FoldedFile:
        """Return the file to work on; what it lacks is for `FoldedFile.update` to know."""
        path = self._beside("working")
        if self._working is not None:
            if _stamp(path) == self._working_is:
                return self._working
        elif self._before is not None and self._is_unused(self._beside("previous")):
            self._beside("previous").replace(path)
            return self._before
        elif self._shown is not None and _stamp(self.path) == self._shown_is:
            with open(self.path, "rb", opener=open_to_read) as source, path.open("wb") as target:
                copy_bytes(source.fileno(), target.fileno(), os.fstat(source.fileno()).st_size)
            return self._shown.twin(path)
        # The first one; or somebody has moved, replaced or changed the one that there was.
        path.unlink(missing_ok=True)
        return FoldedFile(path, self._identifier)

    def publish(self, working: FoldedFile, *, final: bool) -> None:
        """Put a working file in its place; `final`: it is not needed any more."""
        if final:
            self._show(working)
            return
        temporary = temporary_beside(self.path)
        try:
            with working.path.open("rb") as source, temporary.open("wb") as target:
                size = os.fstat(source.fileno()).st_size
                copied = _clone(source.fileno(), target.fileno())
                if not copied and (size < TWO_COPIES_FROM or not _CAN_TELL_UNUSED):
                    copy_bytes(source.fileno(), target.fileno(), size)
                    copied = True
            if copied:
                publish(temporary, self.path)
            else:
                self._keep_previous()
                self._show(working)
        finally:
            temporary.unlink(missing_ok=True)

    def _keep_previous(self) -> None:
        """Keep the file that is shown under another name, to be the next working file."""
        previous = self._beside("previous")
        previous.unlink(missing_ok=True)
        self._before = None
        if self._shown is not None and _stamp(self.path) == self._shown_is:
            try:
                previous.hardlink_to(self.path)
            except OSError:  # a file system without links: the next refresh copies
                previous.unlink(missing_ok=True)
            else:
                self._before, self._before_is = self._shown, self._shown_is

    def _show(self, working: FoldedFile) -> None:
        publish(working.path, self.path)
        self._working = None
        self._shown, self._shown_is = working, _stamp(self.path)

    def _is_unused(self, previous: Path) -> bool:
        """Return whether a file is as it was shown, no process has it open, and no other name leads to it.

        The kernel grants a lease for writing only on such a file (fcntl(2), F_SETLEASE).
        """
        if _stamp(previous) != self._before_is:
            return False
        try:
            descriptor = open_bytes(previous, os.O_RDWR)
        except OSError:
            return False
        try:
            if os.fstat(descriptor).st_nlink != 1:
                return False
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)  # type: ignore[attr-defined, unused-ignore]
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)  # type: ignore[attr-defined, unused-ignore]
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _beside(self, what: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{what}")


def copy_bytes(old: int, new: int, size: int) -> None:
    """Copy so many bytes from one open file to another, by the kernel where it can."""
    if not hasattr(os, "copy_file_range"):
        while data := os.read(old, 2**22):
            while data:
                data = data[os.write(new, data) :]
        return
    while size > 0:
        copied = os.copy_file_range(old, new, size)
        if copied == 0:
            break
        size -= copied


_Stamp = tuple[int, int, int, int] | None


def _stamp(path: Path) -> _Stamp:
    """Return what tells a file, and whether it was changed, from any other; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


try:
    import fcntl

    _CAN_TELL_UNUSED: Final = hasattr(fcntl, "F_SETLEASE")
except ImportError:  # pragma: no cover - Windows
    _CAN_TELL_UNUSED = False  # type: ignore[misc]


def _clone(old: int, new: int) -> bool:
    """Have one file share the blocks of another; return whether the file system can."""
    try:
        fcntl.ioctl(new, _FICLONE, old)  # type: ignore[attr-defined, unused-ignore]
    except (NameError, OSError):
        return False
    return True

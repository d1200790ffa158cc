"""The result file while a run goes on: at any time whole and unlocked, at the cost of what changed since.

A file beside it, the *working file*, is brought up to date and put in its place by a rename. How the next working file
comes about depends on size and file system:

* A small file is copied; any file is, where the file system shares blocks between files (btrfs, XFS).
* A large one takes turns with its predecessor: the file that was published before, which lacks two refreshes, is
  brought up to date, and so on. It is used again only if nobody has it open or has linked to it; else a copy is made.
"""

import os
from pathlib import Path
from typing import Final

from rexec.results._files import publish, sync_file, sync_folder, temporary_beside
from rexec.results.fold import RunState
from rexec.results.h5file import FoldedFile

TURNS_FROM: Final = 8 * 2**20
"""Bytes from which on copying a file at every refresh costs more than keeping two of them."""

_FICLONE: Final = 0x40049409


class PublishedFile:
    """A result file that is kept equal to a run's state.

    Args:
        path: The result file.
        identifier: Identifier of the journal that the state comes from.

    """

    def __init__(self, path: Path, identifier: bytes) -> None:
        self.path: Final = path
        self._identifier: Final = identifier
        self._working: FoldedFile | None = FoldedFile(self._beside("working"), identifier)
        self._shown: FoldedFile | None = None
        self._shown_is: tuple[int, int] | None = None
        self._before: FoldedFile | None = None
        self.problems: list[str] = []
        """What HDF5 refused, as text."""

    def update(self, state: RunState, *, compact: bool = False, publish_it: bool = True) -> None:
        """Bring the file up to date with `state`, on the disk.

        Args:
            state: The state; a new epoch of it begins.
            compact: Write the file anew if changes have left holes in it that are worth it.
            publish_it: Whether to put it in its place, or only to make sure that it can be written.

        Raises:
            OSError: It cannot be written; the file in its place is as it was.

        """
        if self._working is None:
            self._working = self._next()
        self._working.update(state, compact=compact)
        self.problems = self._working.problems
        if publish_it:
            self._publish(self._working)

    def clean(self) -> None:
        """Remove the files beside it."""
        self._beside("working").unlink(missing_ok=True)
        self._beside("previous").unlink(missing_ok=True)

    def _publish(self, working: FoldedFile) -> None:
        temporary = temporary_beside(self.path)
        try:
            with working.path.open("rb") as source, temporary.open("wb") as target:
                size = os.fstat(source.fileno()).st_size
                if not _clone(source.fileno(), target.fileno()):
                    if size >= TURNS_FROM and _CAN_TAKE_TURNS:
                        self._take_turns(working)
                        return
                    copy_bytes(source.fileno(), target.fileno(), size)
            publish(temporary, self.path)
            self._shown = None
        finally:
            temporary.unlink(missing_ok=True)

    def _take_turns(self, working: FoldedFile) -> None:
        before = self._beside("previous")
        before.unlink(missing_ok=True)
        self._before = None
        sync_file(working.path)
        if self._shown is not None and _identity(self.path) == self._shown_is:
            try:
                before.hardlink_to(self.path)
            except OSError:  # a file system without links: the next refresh copies
                before.unlink(missing_ok=True)
            else:
                self._before = self._shown
        working.path.replace(self.path)
        self._shown, self._working, self._shown_is = working, None, _identity(self.path)
        sync_folder(self.path.parent)

    def _next(self) -> FoldedFile:
        """Return the next working file: the one of the turn before last, or a copy of the last."""
        path, before = self._beside("working"), self._beside("previous")
        folded, self._before = self._before, None
        if folded is not None and _is_unused(before):
            before.replace(path)
            return folded
        before.unlink(missing_ok=True)
        if self._shown is None or _identity(self.path) != self._shown_is:
            # Somebody has moved or replaced the file that was shown: there is nothing to copy.
            return FoldedFile(path, self._identifier)
        with self.path.open("rb") as source, path.open("wb") as target:
            copy_bytes(source.fileno(), target.fileno(), os.fstat(source.fileno()).st_size)
        return self._shown.twin(path)

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


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other one, whatever their names."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


try:
    import fcntl

    _CAN_TAKE_TURNS: Final = hasattr(fcntl, "F_SETLEASE")
except ImportError:  # pragma: no cover - Windows
    _CAN_TAKE_TURNS = False  # type: ignore[misc]


def _clone(old: int, new: int) -> bool:
    """Have one file share the blocks of another; return whether the file system can."""
    try:
        fcntl.ioctl(new, _FICLONE, old)  # type: ignore[attr-defined, unused-ignore]
    except (NameError, OSError):
        return False
    return True


def _is_unused(path: Path) -> bool:
    """Return whether no process has a file open and no other name leads to it.

    The kernel grants a lease for writing only on such a file (fcntl(2), F_SETLEASE).
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
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

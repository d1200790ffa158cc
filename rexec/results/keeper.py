"""Keeps a result file equal to its journal: while the run goes on, at its end, and in its recovery.

The file is whole and unlocked at any time, at the cost of what changed since. A *working file* beside it is brought up
to date and put in its place by a rename. The next working file comes about in one of three ways:

* A file system that shares blocks between files (btrfs, XFS) makes the copy for nothing.
* A small file is copied.
* Large files alternate between two copies (double buffering): the file that was shown before the present one lacks two
  refreshes; it is used again, unless somebody has it open or has linked to it.
"""

import os
from pathlib import Path
from typing import Any, Final

from rexec.results._files import publish, temporary_beside
from rexec.results.errors import JournalDamaged, ResultsError, ValueSuperseded
from rexec.results.fold import RunState
from rexec.results.hdf5.file import FoldedFile
from rexec.results.journal.reader import JournalReader
from rexec.results.recordings import Translation
from rexec.results.verified import verify_against

TWO_COPIES_FROM: Final = 8 * 2**20
"""Bytes from which on copying a file at every refresh costs more than keeping two of them."""

KEEPS_FROM: Final = 2**18
"""Least bytes of an appended array that is not held in memory, but read from the journal when it is written."""

_ATTEMPTS: Final = 5

_FICLONE: Final = 0x40049409


class Keeper:
    """The result file of one journal. One thread at a time calls it.

    Args:
        reader: Reads the journal; it is closed with this object.
        path: The result file.
        replaces: Whether another run's file is there, which stays until there are data to put in its place.

    """

    def __init__(self, reader: JournalReader, path: Path, *, replaces: bool = False) -> None:
        self.path = path
        self.state: Final = RunState()
        self.reader: Final = reader
        reader.keeps_from = KEEPS_FROM
        self.shown = False
        """Whether the file is in its place."""
        self._translate: Final = Translation(self.state)
        self._replaces: Final = replaces
        self._working: FoldedFile | None = None
        self._working_is: _Stamp = None
        self._shown: FoldedFile | None = None
        self._shown_is: _Stamp = None
        self._before: FoldedFile | None = None
        self._before_is: _Stamp = None

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused, and what of the journal could not be read or carried out, as text."""
        folded = self._working or self._shown
        return [*self.state.problems, *(folded.problems if folded is not None else [])]

    def read(self, size: int | None = None) -> None:
        """Fold the first bytes of the journal.

        Args:
            size: How many; None: all whole records.

        Raises:
            JournalDamaged: They cannot all be read.

        """
        self._read_on(size)
        if size is not None and self.reader.offset < size:
            # The run has written the journal anew where somebody had removed or replaced it.
            try:
                self.reader.reopen()
            except OSError as error:
                raise JournalDamaged(f"{self.reader.path} is gone: {error.strerror}") from error
            self._read_on(size)
            if self.reader.offset < size:
                missing = f"{self.reader.path} ends at byte {self.reader.offset}, not {size}"
                raise JournalDamaged(self.reader.damage or missing)

    def bring_up_to(self, size: int) -> None:
        """Bring the file up to date with the first `size` bytes of the journal, and no more: its end may move.

        Raises:
            ResultsError: It cannot be written; the file in its place is as it was.

        """
        self.read(size)
        for _ in range(_ATTEMPTS):
            try:
                self._update(final=False)
            except ValueSuperseded:
                self._read_on(None)  # the run has set the dataset anew meanwhile
            else:
                return
        self._update(final=False)

    def finish(self, size: int | None, end: dict[str, Any]) -> None:
        """Bring the file up to date for the last time, reopen it, and compare shapes and checksums.

        Args:
            size: Bytes of the journal; None: all of it.
            end: How the run ended, where the journal does not say so.

        Raises:
            ResultsError: It cannot be written, or does not hold what the journal holds.

        """
        self.read(size)
        if self.state.end is None:
            self.state.end = end
        for key in sorted(self.state.outdated):
            self.state.add_problem(f"{key}: what it was set to last is lost; this is an earlier value")
        self._update(final=True)
        verify_against(self.path, self.state)

    def close(self) -> None:
        """Close the journal. Twice is no error."""
        self.reader.close()

    def _read_on(self, size: int | None) -> None:
        for record in self.reader.records(size):
            for each in self._translate(record):
                self.state.apply(each)
        self.state.size = self.reader.offset

    def _update(self, *, final: bool) -> None:
        state = self.state
        show = not self._replaces or bool(state.datasets or state.archive) or state.end is not None
        try:
            working = self._next_working_file()
            working.update(state, compact=final)
            self._working, self._working_is = working, _stamp(working.path)
            if show:
                self._publish(working, final=final)
        except OSError as error:
            is_held = os.name == "nt" and isinstance(error, PermissionError)
            hint = "; close the program that has it open: Windows replaces no open file" if is_held else ""
            raise ResultsError(f"cannot write {self.path}: {error}{hint}") from error
        self.shown = self.shown or show

    def _next_working_file(self) -> FoldedFile:
        path = self._beside("working")
        if self._working is not None:
            if _stamp(path) == self._working_is:
                return self._working
        elif self._before is not None and self._is_unused(self._beside("previous")):
            self._beside("previous").replace(path)
            return self._before
        elif self._shown is not None and _stamp(self.path) == self._shown_is:
            with self.path.open("rb") as source, path.open("wb") as target:
                copy_bytes(source.fileno(), target.fileno(), os.fstat(source.fileno()).st_size)
            return self._shown.twin(path)
        # The first one; or somebody has moved, replaced or changed the one that there was.
        path.unlink(missing_ok=True)
        return FoldedFile(path, self.reader.identifier)

    def _publish(self, working: FoldedFile, *, final: bool) -> None:
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
            descriptor = os.open(previous, os.O_RDWR)
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


def state_of(journal: Path, size: int) -> RunState:
    """Return what the first `size` bytes of a journal add up to.

    Raises:
        JournalDamaged: They cannot be read.

    """
    keeper = Keeper(JournalReader(journal), journal)
    keeper.reader.keeps_from = None
    try:
        keeper.read(size)
    finally:
        keeper.close()
    return keeper.state


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

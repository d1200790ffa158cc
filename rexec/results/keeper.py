"""Keeps a result file equal to its journal: while the run goes on, at its end, and in its recovery.

The file is whole and unlocked at any time, at the cost of what changed since (`Copies`).

Of a list that grows long, the fold holds only the rows that a file still lacks; while much is read, as in a recovery,
the working file takes them in between. Where released rows are needed after all, the journal, which has everything, is
folded again: with the rows in a new file where the old one is gone, with all rows in memory where they were changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from devicedb.opening import once_free
from rexec.results._files import HELD
from rexec.results.copies import Copies
from rexec.results.errors import JournalDamaged, ResultsError, ValueSuperseded, hint
from rexec.results.fold import RunState
from rexec.results.hdf5.file import FoldedFile
from rexec.results.item import RowsReleased
from rexec.results.journal.reader import JournalReader
from rexec.results.recordings import Translation
from rexec.results.verified import verify_against

KEEPS_FROM: Final = 2**18
"""Least bytes of an appended array that is not held in memory, but read from the journal when it is written."""

SPILL_EVERY: Final = 2**22
"""Bytes of the journal after which long lists are written to the first working file, so that they can be released."""

BEHIND_FROM: Final = 2**20
"""Least bytes of rows that are written into the older copy ahead of the next refresh."""

_ATTEMPTS: Final = 5


class Keeper:
    """The result file of one journal. One thread at a time calls it.

    Args:
        reader: Reads the journal; it is closed with this object.
        path: The result file.
        replaces: Whether another run's file is there, which stays until there are data to put in its place.

    """

    def __init__(self, reader: JournalReader, path: Path, *, replaces: bool = False) -> None:
        self.path: Final = path
        self.state = RunState()
        self.reader: Final = reader
        reader.keeps_from = KEEPS_FROM
        self.releases = True
        """Whether rows that the files have need not be in memory."""
        self.shown = False
        """Whether the file is in its place."""
        self._translate = Translation(self.state)
        self._replaces: Final = replaces
        self._copies: Final = Copies(path, reader.identifier)

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused, and what of the journal could not be read or carried out, as text."""
        return [*self.state.problems, *self._copies.problems]

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
                self._update()
            except ValueSuperseded:
                self._read_on(None)  # the run has set the dataset anew meanwhile
            else:
                return
        self._update()

    def catch_up(self) -> None:
        """Write new rows of lists into the older of two copies, while nothing else is to be done.

        The next refresh, and the end of the run, then write only the rows that came later, not those of two refreshes.
        """
        if not self._copies.are_two:
            return
        # The next refresh writes all of it, or says why not.
        with suppress(OSError, RowsReleased, ValueSuperseded):
            working = self._copies.next()
            self._copies.keep(working)
            behind = [
                key
                for key, item in self.state.datasets.items()
                if item.bytes_from(working.held_rows(key, item)) >= BEHIND_FROM
            ]
            if behind:
                working.update(self.state, only=behind)
                self._copies.keep(working)
                self._release()

    def finish(self, size: int | None, end: dict[str, Any]) -> None:
        """Bring the file up to date for the last time, reopen it, and compare shapes and checksums.

        Args:
            size: Bytes of the journal; None: all of it.
            end: How the run ended, where the journal does not say so.

        Raises:
            ResultsError: It cannot be written, or does not hold what the journal holds.

        """
        self.read(size)
        self._update(end)
        verify_against(self.path, self.state)

    def close(self) -> None:
        """Close the journal. Twice is no error."""
        self.reader.close()

    def _read_on(self, size: int | None) -> None:
        try:
            self._fold(size)
        except RowsReleased:
            self.releases = False
            self._fold_again(size)

    def _fold(self, size: int | None) -> None:
        state, translate, reader = self.state, self._translate, self.reader
        spill_at = reader.offset + SPILL_EVERY
        for record in reader.records(size):
            for each in translate(record):
                state.apply(each)
            if reader.offset >= spill_at:
                self._spill()
                spill_at = reader.offset + SPILL_EVERY
        state.size = reader.offset

    def _fold_again(self, size: int | None) -> None:
        """Fold from the first record on, for a new file."""
        self._copies.forget()
        self.state = RunState()
        self._translate = Translation(self.state)
        self.reader.rewind()
        self._read_on(size)

    def _spill(self) -> None:
        """Write the rows of long lists into the working file, so that they need not be held until all is read."""
        if not self.releases or not self._copies.is_one:
            return  # the rows have to be held for the other file
        with self._named_errors():
            working = self._copies.next()
            if self._lacks_released(working):
                return
            heavy = [
                key
                for key, item in self.state.datasets.items()
                if item.is_heavy and working.held_rows(key, item) != 0
            ]
            if heavy:
                working.update(self.state, only=heavy)
                self._copies.keep(working)
                self._release()

    def _release(self) -> None:
        """Let go of rows that every file which may be worked on next has."""
        for key, item in self.state.datasets.items() if self.releases else ():
            if item.is_heavy:
                item.release(min(file.held_rows(key, item) or 0 for file in self._copies.all))

    def _lacks_released(self, working: FoldedFile) -> bool:
        return self.state.has_released and not working.is_begun

    def _update(self, end: dict[str, Any] | None = None) -> None:
        """Bring the file up to date with the state; `end` tells how the run ended: for the last time."""
        if self._write(end):
            return
        self._fold_again(self.reader.offset)
        if self._write(end):
            return
        self.releases = False
        self._fold_again(self.reader.offset)
        if not self._write(end):
            raise AssertionError(f"{self.path}: rows are missing of a journal that was folded whole")

    def _write(self, end: dict[str, Any] | None) -> bool:
        """Return whether the file is up to date: False where that takes rows that were released."""
        state = self.state
        if end is not None:
            state.end = state.end if state.end is not None else end
            for key in sorted(state.outdated):
                rest = "this is an earlier value" if key in state.datasets else "there is no earlier value"
                state.add_problem(f"{key}: what it was set to last is lost; {rest}")
        with self._named_errors():
            is_up_to_date = once_free(lambda: self._write_file(is_last=end is not None), refusals=HELD)
        if is_up_to_date:
            self._release()
        return is_up_to_date

    def _write_file(self, *, is_last: bool) -> bool:
        state = self.state
        working = self._copies.next()
        if self._lacks_released(working):
            return False
        try:
            working.update(state, compact=is_last)
        except RowsReleased:
            self.releases = False
            return False
        self._copies.keep(working)
        if not self._replaces or state.datasets or state.archive or state.end is not None:
            self._copies.publish(working, final=is_last)
            self.shown = True
        return True

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResultsError(f"cannot write {self.path}: {error}{hint(error)}") from error
        except RuntimeError as error:  # of h5py, where HDF5 cannot close a file on a full disk
            raise ResultsError(f"cannot write {self.path}: {error}") from error


def state_of(journal: Path, size: int) -> RunState:
    """Return what the first `size` bytes of a journal add up to.

    Raises:
        JournalDamaged: They cannot be read.

    """
    keeper = Keeper(JournalReader(journal), journal)
    keeper.reader.keeps_from, keeper.releases = None, False
    try:
        keeper.read(size)
    finally:
        keeper.close()
    return keeper.state

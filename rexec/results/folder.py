"""Folds a journal into its result file, as often as it is asked to, in this process."""

from pathlib import Path
from typing import Any, Final

from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.fold import RunState
from rexec.results.published import PublishedFile
from rexec.results.reader import JournalReader
from rexec.results.verify import verify_against


class Folder:
    """Keeps a result file equal to a journal that grows.

    Args:
        path: The result file.
        journal: Its journal.
        replaces: Whether another run's file is there, which stays until there are data to put in its place.

    """

    def __init__(self, path: Path, journal: Path, *, replaces: bool = False) -> None:
        self.path: Final = path
        self.state: Final = RunState()
        self.shown = False
        self._reader: Final = JournalReader(journal)
        self._file: Final = PublishedFile(path, self._reader.identifier)
        self._replaces: Final = replaces

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused, and changes that could not be carried out, as text."""
        return [*self.state.problems, *self._file.problems]

    def refresh(self, size: int) -> None:
        """Bring the file up to date with the first `size` bytes of the journal, or more.

        Raises:
            ResultsError: The file cannot be written. The journal still has everything.

        """
        self._catch_up(size)
        self._update()

    def finish(self, size: int, end: dict[str, Any]) -> None:
        """Bring the file up to date for the last time, reopen it, and compare shapes and checksums.

        Args:
            size: Bytes of the journal.
            end: How the run ended, for a journal that could not take it.

        Raises:
            ResultsError: It cannot be written, or does not hold what the journal holds.

        """
        self._catch_up(size)
        if self.state.end is None:
            self.state.end = end
        self._update(compact=True)
        verify_against(self.path, self.state)

    def close(self) -> None:
        """Let go of the journal, and remove what is beside the file. Twice is no error."""
        self._reader.close()
        self._file.clean()

    def _catch_up(self, size: int) -> None:
        for record in self._reader.records():
            self.state.apply(record)
        if self._reader.offset < size and self._reader.damage is not None:
            raise JournalDamaged(self._reader.damage)

    def _update(self, *, compact: bool = False) -> None:
        state = self.state
        show = not self._replaces or bool(state.datasets or state.archive) or state.end is not None
        try:
            self._file.update(state, compact=compact, publish_it=show)
        except OSError as error:
            raise ResultsError(f"cannot refresh {self.path}: {error}") from error
        self.shown = self.shown or show


def state_of(journal: Path, size: int) -> RunState:
    """Return what the first `size` bytes of a journal (or more) add up to.

    Raises:
        JournalDamaged: They cannot be read.

    """
    state = RunState()
    with JournalReader(journal) as reader:
        for record in reader.records():
            state.apply(record)
        if reader.offset < size and reader.damage is not None:
            raise JournalDamaged(reader.damage)
    return state

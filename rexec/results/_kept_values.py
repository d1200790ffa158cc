"""Large arrays that a run has appended: they are in its journal, not in its memory."""

import os
import weakref
from typing import Any, Final

import numpy as np

from rexec.results.errors import JournalDamaged
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.writer import Journal

KEEPS_FROM: Final = 2**18
"""Least bytes of an array that is left in the journal, and read when it is needed."""


class KeptValues:
    """Replaces appended arrays by objects that read them from the journal.

    The reader has the file open, so that they can be read when the journal is removed. Windows removes no open file:
    there all arrays stay in memory.

    Args:
        journal: The journal of the run.

    """

    def __init__(self, journal: Journal) -> None:
        self._journal: Final = journal
        self._reader: JournalReader | None = None

    def kept(self, value: Any, start: int) -> Any:
        """Return what stands for the value that the record at an offset has appended."""
        if type(value) is not np.ndarray or value.nbytes < KEEPS_FROM or value.dtype.kind not in "biufc":
            return value
        reader = None if os.name == "nt" else self._of_this_file()
        return value if reader is None else reader.kept(value, start)

    def _of_this_file(self) -> JournalReader | None:
        """Return a reader of the file that the run writes: where that was replaced, of the new one."""
        journal = self._journal
        try:
            own = os.fstat(journal.claim)
            if self._reader is not None and os.path.samestat(os.fstat(self._reader.descriptor), own):
                return self._reader
            reader = JournalReader(journal.path)
        except (OSError, JournalDamaged):
            return None
        weakref.finalize(reader, os.close, reader.descriptor).atexit = False
        self._reader = reader if os.path.samestat(os.fstat(reader.descriptor), own) else None
        return self._reader

"""Makes result files of the journals that runs left behind when they were killed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import h5py

from rexec.results._files import publish, remove_leftovers, sync_folder, temporary_beside, try_lock
from rexec.results.errors import JournalDamaged, ResultsError
from rexec.results.fold import RunState
from rexec.results.h5file import FoldedFile
from rexec.results.layout import JOURNAL_SUFFIX
from rexec.results.reader import JournalReader
from rexec.results.records import HEADER, MAGIC
from rexec.results.verify import verify_against

DAMAGED_SUFFIX: Final = ".damaged"
"""What the name of a journal gets that could not be read to its end, when what was readable is in the file."""

_MOMENT: Final = 0.3

Outcome: TypeAlias = Literal["recovered", "damaged", "empty", "running", "failed"]


@dataclass(frozen=True)
class Recovery:
    """What became of one journal.

    Attributes:
        journal: The journal.
        outcome: "recovered": everything in it is in the file, it is removed. "damaged": so is everything before a
            damaged place, the journal is kept under another name. "empty": the run was killed before it had
            anything, the journal is removed. "running": the run goes on, nothing was done. "failed": nothing could
            be done; the journal is as it was.
        path: The result file, where there is one.
        records: How many records it holds.
        detail: Why, where that is to be said.

    """

    journal: Path
    outcome: Outcome
    path: Path | None = None
    records: int = 0
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        lines = {
            "recovered": f"recovered {self.path} ({self.records} records)",
            "damaged": f"recovered {self.path} as far as its journal can be read ({self.records} records)",
            "empty": f"removed {self.journal}: the run was killed before it had kept anything",
            "running": f"left {self.journal} alone: its run goes on",
            "failed": f"could not recover {self.journal}",
        }
        return lines[self.outcome] + (f": {self.detail}" if self.detail else "")


def orphans(folder: Path) -> list[Path]:
    """Return every journal in a folder and those below it, oldest name first; those of running runs, too."""
    return sorted(path for path in folder.rglob(f"*{JOURNAL_SUFFIX}") if path.is_file())


def recover_folder(folder: Path) -> Iterator[Recovery]:
    """Recover every journal in a folder and below it, yielding what became of each.

    Doing it again, or doing it after this was killed at any instant, leads to the same files.

    Args:
        folder: A results folder, on any machine, of any machine.

    """
    for journal in orphans(folder):
        yield recover(journal)


def recover(journal: Path) -> Recovery:
    """Make the result file of one journal, unless its run goes on; never raises for what is wrong with it."""
    try:
        descriptor = os.open(journal, os.O_RDWR)
    except FileNotFoundError:
        return Recovery(journal, "running", detail="its run has just ended")
    except OSError as error:
        return Recovery(journal, "failed", detail=f"{error.strerror}; copy the folder to where you may write")
    try:
        if not _claimed(descriptor):
            return Recovery(journal, "running")
        return _recover(journal)
    except (OSError, ResultsError) as error:
        return Recovery(journal, "failed", detail=str(error))
    finally:
        os.close(descriptor)


def _claimed(descriptor: int) -> bool:
    """Claim an open journal; a process that a killed run has left behind has a moment to end."""
    deadline = time.monotonic() + _MOMENT
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _recover(journal: Path) -> Recovery:
    if not journal.exists():
        return Recovery(journal, "running", detail="another process has recovered it")
    try:
        reader = JournalReader(journal)
    except JournalDamaged as error:
        if _is_barely_begun(journal):
            journal.unlink()
            return Recovery(journal, "empty")
        return Recovery(journal, "failed", detail=str(error))
    with reader:
        state = RunState()
        for record in reader.records():
            state.apply(record)
        damaged = reader.damage is not None and not reader.torn
        remaining = reader.remaining()
        if not state.identity and not damaged:
            journal.unlink()
            return Recovery(journal, "empty")
        path = _target(journal, state, reader.identifier)
        if path is not None:
            _fold_into(path, state, reader.identifier)
    remove_leftovers(journal.with_name(journal.name.removesuffix(JOURNAL_SUFFIX)))
    if damaged:
        kept = journal.with_name(journal.name + DAMAGED_SUFFIX)
        journal.rename(kept)
        detail = f"{reader.damage}; {remaining} bytes from there on are in {kept.name} only"
        return Recovery(journal, "damaged", path, state.records, detail)
    journal.unlink()
    sync_folder(journal.parent)
    if path is None:
        return Recovery(journal, "empty")
    detail = f"the last record was cut off, {remaining} bytes of it" if remaining else ""
    return Recovery(journal, "recovered", path, state.records, detail)


def _is_barely_begun(journal: Path) -> bool:
    """Return whether a file is the first bytes of a journal, of which not even the header is whole."""
    data = journal.read_bytes() if journal.stat().st_size < HEADER.size else None
    return data is not None and data[: len(MAGIC)] == MAGIC[: len(data)]


def _target(journal: Path, state: RunState, identifier: bytes) -> Path | None:
    """Return the file to write: never one that holds another run. None: there is nothing worth a file."""
    path = journal.with_name(journal.name.removesuffix(JOURNAL_SUFFIX))
    while path.exists() and _journal_of(path) != identifier.hex():
        if not state.datasets and not state.archive:
            return None
        path = path.with_name(f"{path.stem}.recovered{path.suffix}")
    return path


def _journal_of(path: Path) -> str | None:
    try:
        with h5py.File(path, "r") as file:
            return str(file["rexec"].attrs["journal"])
    except (OSError, KeyError):
        return None


def _fold_into(path: Path, state: RunState, identifier: bytes) -> None:
    if state.end is None:
        state.end = {"status": "recovered", "error": "the run was killed; this is what it had kept by then"}
    temporary = temporary_beside(path)
    try:
        FoldedFile(temporary, identifier).update(state)
        publish(temporary, path)
        verify_against(path, state)
    finally:
        temporary.unlink(missing_ok=True)

"""Makes result files of the journals that runs left behind when they were killed."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import h5py

from devicedb.opening import once_free
from rexec.results._files import HELD, leftovers, remove_leftovers
from rexec.results.errors import JournalDamaged, ResultsError, ResultsMismatch, hint, reason
from rexec.results.fold import RunState
from rexec.results.journal._file import Orphan
from rexec.results.journal.reader import HeaderDamaged, JournalReader
from rexec.results.journal.records import HEADER, MAGIC
from rexec.results.journal.salvage import SalvageReader
from rexec.results.keeper import Keeper
from rexec.results.layout import DAMAGED_SUFFIX, JOURNAL_SUFFIX, journal_path
from rexec.results.status import folded
from rexec.results.verified import verify_against

_log = logging.getLogger(__name__)

_END: Final = {"status": "recovered", "error": "the run was killed; this is what it had kept by then"}

_MOST_FAILED: Final = 3
"""Journals that cannot be recovered, of which a run that begins names each."""

Outcome: TypeAlias = Literal["recovered", "finished", "damaged", "salvaged", "empty", "running", "failed"]


@dataclass(frozen=True)
class Recovery:
    """What became of one journal.

    Attributes:
        journal: The journal.
        outcome: "recovered": everything in it is in the file, it is removed. "finished": so it was before, the file is
            as it was, with what others have added. "damaged": so is everything before a
            damaged place, or all but records that could not be read; the journal is kept under another name.
            "salvaged": what can be read of a damaged journal is in a file, the journal is kept. "empty": the run was
            killed before it had anything, the journal is removed. "running": the run goes on, nothing was done.
            "failed": nothing could be done; the journal is as it was.
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
            "finished": f"removed {self.journal}: {self.path} holds all of it",
            "damaged": f"recovered {self.path} as far as its journal can be read ({self.records} records)",
            "salvaged": f"wrote {self.path} of what can be read of {self.journal} ({self.records} records)",
            "empty": f"removed {self.journal}: the run was killed before it had kept anything",
            "running": f"left {self.journal} alone: its run goes on",
            "failed": f"could not recover {self.journal}",
        }
        return lines[self.outcome] + (f": {self.detail}" if self.detail else "")


def orphans(folder: Path) -> list[Path]:
    """Return every journal in a folder and those below it, oldest name first; those of running runs, too."""
    return _below(folder, JOURNAL_SUFFIX)


def recover_folder(folder: Path) -> Iterator[Recovery]:
    """Recover every journal in a folder and below it, yielding what became of each.

    Doing it again, or doing it after this was killed at any instant, leads to the same files.

    Args:
        folder: A results folder, on any machine, of any machine.

    """
    # A folder is listed once, not once for each journal.
    left: dict[Path, dict[str, list[Path]]] = {}
    for journal in orphans(folder):
        if journal.parent not in left:
            left[journal.parent] = leftovers(journal.parent)
        yield recover(journal, left[journal.parent])


def recover_some(folder: Path, path: Path, *, seconds: float = 2.0) -> Iterator[str]:
    """Recover what killed runs have left before another begins, which must not wait for thousands of them.

    Args:
        folder: The results folder; the newest journals in it come first.
        path: The file of the run that is about to begin: what is in its way comes before all others.
        seconds: How long after the first one another is begun.

    Yields:
        What became of each, for people; what is left for `rexec results recover`.

    """
    journals = list(dict.fromkeys([journal_path(path), *reversed(orphans(folder))]))
    end = time.monotonic() + seconds
    failed = 0
    remedy = f"`rexec results recover {folder}`"
    for number, journal in enumerate(journals):
        if number and time.monotonic() > end:
            yield f"left {len(journals) - number} more journals, perhaps of killed runs, for later: {remedy}"
            break
        if not journal.exists():
            continue
        recovery = recover(journal)
        failed += recovery.outcome == "failed"
        if recovery.outcome != "running" and (recovery.outcome != "failed" or failed <= _MOST_FAILED):
            yield str(recovery)
    if failed > _MOST_FAILED:
        yield f"could not recover {failed - _MOST_FAILED} more journals: {remedy} says why"


def recover(journal: Path, left: Mapping[str, list[Path]] | None = None) -> Recovery:
    """Make the result file of one journal, unless its run goes on; never raises for what is wrong with it.

    Args:
        journal: The journal.
        left: What killed runs have left in its folder beside result files, by their names; None: it is looked for.

    """
    try:
        orphan = Orphan(journal)
    except FileNotFoundError:
        return Recovery(journal, "running", detail="its run has just ended")
    except OSError as error:
        remedy = "copy the folder to where you may write" + hint(error).replace("; ", ", or ")
        return Recovery(journal, "failed", detail=f"{error.strerror}; {remedy}")
    with orphan:
        try:
            return _recover(orphan, left) if orphan.is_claimed() else Recovery(journal, "running")
        except OSError as error:
            return Recovery(journal, "failed", detail=f"{error}{hint(error)}")
        except ResultsError as error:
            return Recovery(journal, "failed", detail=str(error))
        except Exception as error:  # a fault of ours must not stop the recovery of other journals, nor a run
            _log.exception("a fault of this program: please report it, with %s", journal)
            return Recovery(journal, "failed", detail=f"{type(error).__name__}: {error}")


def _recover(orphan: Orphan, left: Mapping[str, list[Path]] | None) -> Recovery:
    journal = orphan.path
    if not orphan.is_in_place():
        return Recovery(journal, "running", detail="another process has recovered it")
    path = journal.with_name(journal.name.removesuffix(JOURNAL_SUFFIX))
    try:
        reader = JournalReader(journal)
    except HeaderDamaged as error:
        kept = journal.with_name(journal.name + DAMAGED_SUFFIX)
        orphan.rename(kept)
        return Recovery(journal, "damaged", detail=f"{error}; it is {kept.name} now")
    except JournalDamaged as error:
        if _is_barely_begun(journal):
            orphan.remove()
            return Recovery(journal, "empty")
        return Recovery(journal, "failed", detail=str(error))
    try:
        target = _target(path, reader.identifier)
    except ResultsError:
        reader.close()  # Windows removes no open file, and the next attempt is to remove the journal
        raise
    keeper = Keeper(reader, target)
    try:
        keeper.read()
        damaged = reader.damage is not None and not reader.torn
        remaining, damage = reader.remaining(), reader.damage
        is_whole, said = not (damaged or remaining or keeper.state.unreadable), ""
        if is_whole and target == path and folded(path, reader.identifier) == (keeper.state.size, True):
            try:
                verify_against(path, keeper.state)
            except ResultsMismatch:
                said = _put_aside(path)
            else:
                orphan.remove()
                return Recovery(journal, "finished", path, keeper.state.records)
        is_worth_it = _has_data(keeper.state) or (target == path and (bool(keeper.state.identity) or damaged))
        if is_worth_it:
            keeper.finish(None, dict(_END))
        state = keeper.state
    finally:
        keeper.close()
        remove_leftovers(path, left)
        if target != path:
            remove_leftovers(target)
    written = target if is_worth_it else None
    if damaged or state.unreadable:
        kept = journal.with_name(journal.name + DAMAGED_SUFFIX)
        orphan.rename(kept)
        detail = f"{damage}; {remaining} bytes from there on are in {kept.name} only"
        if not damaged:
            detail = f"{_counted(state.unreadable)} could not be read, kept in {kept.name}"
        return Recovery(journal, "damaged", written, state.records, detail)
    if written is None:
        orphan.remove()
        return Recovery(journal, "empty")
    details = [f"the last record was cut off, {remaining} bytes of it" if remaining else said]
    try:
        orphan.remove()
    except OSError as error:
        details.append(f"its journal cannot be removed: {reason(error)}{hint(error)}, then recover once more")
    return Recovery(journal, "recovered", written, state.records, "; ".join(filter(None, details)))


def recover_damaged(folder: Path) -> Iterator[Recovery]:
    """Make a file of what can be read of each damaged journal in a folder and below it, behind the damage, too.

    The journal stays. The file is `NAME.damaged.h5`, beside the one that holds what was before the damage; it says
    what is missing.
    """
    for journal in _below(folder, f"{JOURNAL_SUFFIX}{DAMAGED_SUFFIX}"):
        try:
            yield _salvage(journal)
        except (OSError, ResultsError) as error:
            yield Recovery(journal, "failed", detail=str(error))


def _salvage(journal: Path) -> Recovery:
    path = Path(str(journal).removesuffix(JOURNAL_SUFFIX + DAMAGED_SUFFIX))
    reader = SalvageReader(journal)
    wanted = path.with_name(f"{path.stem}.damaged{path.suffix}")
    target = _target(wanted, reader.identifier)
    keeper = Keeper(reader, target)
    try:
        keeper.read()
        is_empty = keeper.state.records == keeper.state.unreadable
        if not _has_data(keeper.state) and (is_empty or target != wanted):
            return Recovery(journal, "failed", detail="nothing in it can be read")
        keeper.finish(
            None, {"status": "recovered", "error": "the journal is damaged: problems say what is missing"}
        )
        state = keeper.state
    finally:
        keeper.close()
        remove_leftovers(target)
    return Recovery(journal, "salvaged", target, state.records, "; ".join(state.problems[:3]))


def _below(folder: Path, suffix: str) -> list[Path]:
    """Return the files in a folder and below it whose names end so, oldest name first."""
    found = (Path(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(suffix))
    return sorted(path for path in found if path.is_file())


def _counted(records: int) -> str:
    return f"{records} record{'s' if records != 1 else ''}"


def _is_barely_begun(journal: Path) -> bool:
    """Return whether not even the header of a journal is whole, which is synced before anything is kept."""
    if journal.stat().st_size > HEADER.size:
        return False
    data = journal.read_bytes()
    return data == bytes(len(data)) or (len(data) < HEADER.size and data[: len(MAGIC)] == MAGIC[: len(data)])


def _target(path: Path, identifier: bytes) -> Path:
    """Return the file to write: never one that holds another run."""
    while path.exists() and _journal_of(path) != identifier.hex():
        path = path.with_name(f"{path.stem}.recovered{path.suffix}")
    return path


def _put_aside(path: Path) -> str:
    """Rename a finished file whose values are no longer those of the run; return a sentence with its new name."""
    aside = path
    while aside.exists():
        aside = aside.with_name(f"{aside.stem}.changed{aside.suffix}")
    once_free(lambda: path.rename(aside))
    return f"the file there held something else, and is {aside.name} now"


def _has_data(state: RunState) -> bool:
    return bool(state.datasets or state.archive)


def _journal_of(path: Path) -> str | None:
    """Return which journal a file was made of; None: it is another run's, or cannot be told.

    Raises:
        ResultsError: The system refuses to read it, perhaps for the moment: it may be this run's.

    """
    try:
        with once_free(lambda: h5py.File(path, "r"), refusals=HELD) as file:
            return str(file["rexec"].attrs["journal"])
    except HELD as error:
        if path.is_dir():
            return None
        raise ResultsError(f"cannot read {path}: {reason(error)}{hint(error)}") from error
    except (OSError, KeyError):
        return None

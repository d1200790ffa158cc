"""What is true of a result file now: its run goes on, was killed, or is finished."""

import os
import platform
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import h5py

from rexec.results._files import is_locked
from rexec.results.errors import JournalDamaged
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, Kind
from rexec.results.layout import DAMAGED_SUFFIX, journal_path

State: TypeAlias = Literal["running", "killed", "finished"]

_COUNTED: Final = 1 << 20
"""Bytes of a journal in which records are counted: nobody needs the exact number of the millions of a night's run."""
_FIRST: Final = 4
"""Records among which the identity is: it is written first."""


@dataclass(frozen=True)
class Status:
    """What a result file, its journal and its process say together.

    Attributes:
        path: The result file.
        state: "running": a process keeps its journal. "killed": there is a journal that nobody keeps. "finished": there
            is none, or one of which the file holds everything.
        pid: Number of the run's process, where it is known.
        host: The machine of that process, where it is another one.
        waiting: Records of the journal that the file does not hold; with `size` over `_COUNTED`, those at its front.
            None: the journal cannot be read.
        size: Bytes of the journal that the file does not hold.
        detail: What else is to be said: a journal that is damaged, or is left beside a finished file.

    """

    path: Path
    state: State
    pid: int | None = None
    host: str | None = None
    waiting: int | None = 0
    size: int = 0
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        changes = f"{self.waiting} record{'s' if self.waiting != 1 else ''}"
        if self.waiting is None:
            changes = "an unknown number of records"
        elif self.size > _COUNTED:
            changes = f"over {changes} ({self.size / 1e6:.1f} MB)"
        recover = f"`rexec results recover {self.path.parent}`"
        if self.state == "running":
            by = f"process {self.pid}" if self.pid is not None else "a process"
            text = f"running: {by}{f' on {self.host}' if self.host else ''}, {changes} not in the file yet"
        elif self.state == "killed" and self.waiting != 0:
            text = f"killed: {changes} of its journal are not in the file; {recover}"
        elif self.state == "killed":
            text = f"killed: the file holds all of its journal; {recover} says so in the file"
        else:
            text = "finished"
        return f"{text} ({self.detail})" if self.detail else text


def status_of(path: Path) -> Status:
    """Return whether the run of a result file goes on, was killed, or is finished; it looks at the journal.

    Args:
        path: The result file; it may be missing where there is a journal.

    """
    journal = journal_path(path)
    damaged = journal.with_name(journal.name + DAMAGED_SUFFIX)
    detail = (
        f"its journal is damaged: `rexec results recover --damaged {path.parent}`" if damaged.exists() else ""
    )
    try:
        reader = JournalReader(journal)
    except FileNotFoundError:
        return Status(path, "finished", detail=detail)
    except (OSError, JournalDamaged) as error:
        return Status(path, "running" if is_locked(journal) else "killed", waiting=None, detail=str(error))
    with reader:
        state: State = "running" if is_locked(journal) else "killed"
        first = islice(reader.records(), _FIRST)
        identity = next((each.value for each in first if each.kind is Kind.IDENTITY), None)
        fields: dict[str, Any] = identity if isinstance(identity, dict) else {}
        pid, host = fields.get("pid"), fields.get("host")
        held, has_ended = folded(path, reader.identifier)
        reader.offset = max(HEADER.size, held)
        size = max(reader.remaining(), 0)
        waiting = reader.count(reader.offset + _COUNTED)
    if not journal.exists():  # it has ended meanwhile
        return status_of(path) if path.exists() else Status(path, "finished", detail=detail)
    if state == "killed" and has_ended and not waiting:
        remedy = f"`rexec results recover {path.parent}` removes it"
        left = f"its journal was left beside it, and holds nothing more: {remedy}"
        return Status(path, "finished", detail="; ".join(filter(None, (detail, left))))
    return Status(
        path,
        state,
        pid if type(pid) is int else None,
        host if isinstance(host, str) and host != platform.node() else None,
        waiting,
        size,
        detail,
    )


def folded(path: Path, identifier: bytes) -> tuple[int, bool]:
    """Return how many bytes of a journal a file holds, and whether the file says that the run has ended."""
    try:
        if not os.path.isfile(path):
            return 0, False
        with h5py.File(path, "r") as file:
            attributes = file["rexec"].attrs
            if attributes["journal"] != identifier.hex():
                return 0, False
            return int(attributes["journal_size"]), attributes["status"] != "running"
    except Exception:  # whatever is there is not the file of this journal
        return 0, False

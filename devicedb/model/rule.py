"""What a rule is, how bad a finding of it is, and what it yields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from devicedb.model.database import CheckedDatabase, Entry
from devicedb.model.facts import FileFacts
from devicedb.model.fix import Repair
from devicedb.place import Place


class Severity(StrEnum):
    """How bad a finding is: it fails, it works but is suspicious, it is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Hit:
    """What a rule has found."""

    site: int | Place
    """Where: a site of the database, or a place in a file."""
    message: str
    """What is wrong, and why it matters."""
    hint: str = ""
    """What to write instead."""
    entry: str = ""
    """Name of the entry, where there is one."""
    severity: Severity | None = None
    """Where it is not the rule's own."""
    repair: Repair | None = None
    """What mends it, if that takes no judgement."""


EntryCheck: TypeAlias = Callable[[Entry, CheckedDatabase], Iterator[Hit]]
DatabaseCheck: TypeAlias = Callable[[CheckedDatabase], Iterator[Hit]]
FileCheck: TypeAlias = Callable[[FileFacts], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """One rule of the catalogue.

    `bad` and `good` are device databases. Lines `# file: NAME` in them begin another file of the example.
    """

    code: str
    severity: Severity
    summary: str
    why: str
    bad: str
    good: str
    kinds: tuple[str, ...] = ()
    """Kinds of entries that `entry` looks at; empty: all."""
    entry: EntryCheck | None = None
    database: DatabaseCheck | None = None
    file: FileCheck | None = None

"""What a rule is, and the table of all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from devicedb.check.facts import FileFacts
    from devicedb.check.laboratory import Entry, Laboratory
    from devicedb.check.located import Place


class Severity(StrEnum):
    """How bad a finding is: it fails, it works but is suspicious, it is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Hit:
    """What a rule has found."""

    site: "int | Place"
    """Where: a site of the database, or a place in a file."""
    message: str
    """What is wrong, and why it matters."""
    hint: str = ""
    """What to write instead."""
    entry: str = ""
    """Name of the entry, where there is one."""
    severity: Severity | None = None
    """Where it is not the rule's own."""


EntryCheck: TypeAlias = "Callable[[Entry, Laboratory], Iterator[Hit]]"
DatabaseCheck: TypeAlias = "Callable[[Laboratory], Iterator[Hit]]"
FileCheck: TypeAlias = "Callable[[FileFacts], Iterator[Hit]]"


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
    entry: "EntryCheck | None" = None
    database: "DatabaseCheck | None" = None
    file: "FileCheck | None" = None


RULES: Final[dict[str, Rule]] = {}
"""Every rule by its code. Codes are stable: a rule that goes leaves its code unused."""


def entry_rule(
    code: str, severity: Severity, summary: str, *, why: str, bad: str, good: str, kinds: tuple[str, ...] = ()
) -> Callable[[EntryCheck], EntryCheck]:
    """Register a function that looks at one entry at a time."""

    def register(check: EntryCheck) -> EntryCheck:
        _add(Rule(code, severity, summary, why, bad, good, kinds, entry=check))
        return check

    return register


def database_rule(
    code: str, severity: Severity, summary: str, *, why: str, bad: str, good: str
) -> Callable[[DatabaseCheck], DatabaseCheck]:
    """Register a function that looks at the whole database."""

    def register(check: DatabaseCheck) -> DatabaseCheck:
        _add(Rule(code, severity, summary, why, bad, good, database=check))
        return check

    return register


def file_rule(
    code: str, severity: Severity, summary: str, *, why: str, bad: str, good: str
) -> Callable[[FileCheck], FileCheck]:
    """Register a function that looks at how the file ran."""

    def register(check: FileCheck) -> FileCheck:
        _add(Rule(code, severity, summary, why, bad, good, file=check))
        return check

    return register


def _add(rule: Rule) -> None:
    if rule.code in RULES:
        raise ValueError(f"two rules with the code {rule.code}")
    RULES[rule.code] = rule

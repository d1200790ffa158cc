"""The table of all rules, and the decorators that fill it."""

from collections.abc import Callable
from typing import Final

from devicedb.model.rule import DatabaseCheck, EntryCheck, FileCheck, Hit, Rule, Severity

__all__ = ["RULES", "Hit", "Severity", "database_rule", "entry_rule", "file_rule"]

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

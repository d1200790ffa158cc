"""Repairs that several rules propose."""

from typing import Any

from devicedb.model.database import Entry
from devicedb.model.fix import Repair, Replace


def rename_key(site: int, old: str, new: str) -> Repair:
    """Return the repair that writes another key."""
    return Repair(f'write "{new}" for "{old}"', (Replace(site, old, new),))


def rename_field(entry: Entry, old: str, new: str) -> Repair | None:
    """Return the repair that writes another key of an entry; None if the entry has that already."""
    return rename_key(entry.key_at(old), old, new) if new not in entry.raw else None


def write(site: int, old: Any, new: str | int | tuple[str, ...] | None) -> Repair | None:
    """Return the repair that writes another value; None without one."""
    if new is None:
        return None
    shown = list(new) if isinstance(new, tuple) else new
    return Repair(f"write {shown!r}", (Replace(site, old, new),))

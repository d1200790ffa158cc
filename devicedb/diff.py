"""Differences in meaning between two device databases: what names stand for, not how it is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

IGNORED: Final = frozenset({"comment", "comments"})
"""Keys without an effect."""

KINDS: Final = {"host": "moved", "port": "moved", "target_name": "retargeted", "controller": "retargeted"}


@dataclass(frozen=True)
class EntryChange:
    """One difference. `kind` is "added", "removed", "moved" (host or port), "retargeted" or "changed"."""

    kind: str
    name: str
    key: str
    old: str
    new: str

    def __str__(self) -> str:
        if self.kind in {"added", "removed"}:
            return f"{self.kind:10} {self.name}: {self.new or self.old}"
        return f"{self.kind:10} {self.name}: {self.key} {self.old} -> {self.new}"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[EntryChange]:
    """Yield every difference in meaning, by name.

    Args:
        old, new: The dicts of two device databases.

    """
    for name in sorted({*old, *new}):
        if name not in old:
            yield EntryChange("added", name, "", "", _short(new[name]))
        elif name not in new:
            yield EntryChange("removed", name, "", _short(old[name]), "")
        else:
            yield from _entry(name, old[name], new[name])


def _entry(name: str, old: Any, new: Any) -> Iterator[EntryChange]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            kind = "retargeted" if isinstance(old, str) and isinstance(new, str) else "changed"
            yield EntryChange(
                kind, name, "alias" if kind == "retargeted" else "entry", _short(old), _short(new)
            )
        return
    for key in sorted({*old, *new}, key=str):
        if key in IGNORED or old.get(key) == new.get(key):
            continue
        yield EntryChange(
            KINDS.get(key, "changed"), name, str(key), _short(old.get(key)), _short(new.get(key))
        )


def _short(value: Any) -> str:
    if isinstance(value, dict) and "type" in value:
        host = f" at {value['host']}:{value.get('port')}" if "host" in value else ""
        return f"{value['type']}{host}"
    return repr(value)

"""Rules about keys that nothing reads."""

from collections.abc import Iterator
from typing import Final

from devicedb.command import placeholders
from devicedb.model.database import CheckedDatabase, Entry
from devicedb.rules.fields import FORMS, REQUIRED
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import rename_key
from devicedb.suggest import is_one_edit

EVERYWHERE: Final = frozenset({"type", "comment", "comments", "mockmodule", "mockclass", "simulated"})
_ELSEWHERE: Final = frozenset({"allow", "exclusive"})
"""Keys of a controller; on another entry they have a rule of their own."""
READ: Final[dict[str, frozenset[str]]] = {
    "local": EVERYWHERE | set(FORMS["local"]) | {"satellite_cpu_targets"},
    "controller": EVERYWHERE | set(FORMS["controller"]) | {"command", "target", "port_control", "allow"},
    "controller_aux_target": EVERYWHERE | set(FORMS["controller_aux_target"]) | {"target_name"},
    "dummy": EVERYWHERE,
}
"""Kind of entry, the keys that something reads. `target` has a rule of its own."""

GOOD = 'device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "best_effort": True}}\n'
KINDS = ("local", "controller", "controller_aux_target", "dummy")


def _unread(entry: Entry) -> Iterator[str]:
    if entry.raw.keys() <= READ[entry.kind]:
        return
    used: set[str] = set()
    template = entry.text("command")
    if template is not None:
        try:
            used.update(placeholders(template))
        except ValueError:
            return  # a broken template has a rule of its own, and what it would read is not known
    for key in entry.raw:
        if isinstance(key, str) and key not in READ[entry.kind] | _ELSEWHERE and key not in used:
            yield key


def _meant(key: str, entry: Entry) -> str | None:
    """The key that another one is one edit away from; a required one that is missing is reported as such."""
    missing = [name for name in REQUIRED.get(entry.kind, ()) if name not in entry.raw]
    if any(is_one_edit(key, name) for name in missing):
        return ""
    return next((name for name in sorted(READ[entry.kind]) if is_one_edit(key, name)), None)


@entry_rule(
    "DDB701",
    Severity.WARNING,
    "misspelt key",
    why="Nothing reads the key, so it has no effect; a known key is one letter away.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "best_efort": True}}\n',
    good=GOOD,
    kinds=KINDS,
)
def slip(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for key in _unread(entry):
        meant = _meant(key, entry)
        if meant and meant not in entry.raw:
            text = f"nothing reads {key!r} of a {entry.kind}; it has no effect"
            repair = rename_key(entry.key_at(key), key, meant)
            yield Hit(entry.key_at(key), text, repair.title, entry.name, repair=repair)


@entry_rule(
    "DDB702",
    Severity.INFO,
    "key that nothing reads",
    why="It may be a note, or it was meant to have an effect.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "rack": 3}}\n',
    good='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "comment": "rack 3"}}\n',
    kinds=KINDS,
)
def unread(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for key in _unread(entry):
        meant = _meant(key, entry)
        if meant is None or (meant and meant in entry.raw):
            yield Hit(entry.key_at(key), f"nothing reads {key!r} of a {entry.kind}", "", entry.name)

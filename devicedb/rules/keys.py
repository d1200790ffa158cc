"""Rules about keys that nothing reads."""

from collections.abc import Iterator
from typing import Final

from devicedb.check.laboratory import Entry, Laboratory
from devicedb.command import placeholders
from devicedb.rules.fields import FORMS, REQUIRED
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.suggest import is_one_edit

EVERYWHERE: Final = frozenset({"type", "comment", "comments", "mockmodule", "mockclass", "simulated"})
READ: Final[dict[str, frozenset[str]]] = {
    "local": EVERYWHERE | set(FORMS["local"]) | {"satellite_cpu_targets"},
    "controller": EVERYWHERE | set(FORMS["controller"]) | {"command", "target", "port_control"},
    "controller_aux_target": EVERYWHERE | set(FORMS["controller_aux_target"]) | {"target_name"},
    "dummy": EVERYWHERE,
}
"""Kind of entry, the keys that something reads. `target` has a rule of its own."""

GOOD = 'device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "best_effort": True}}\n'
KINDS = ("local", "controller", "controller_aux_target", "dummy")


def _unread(entry: Entry) -> Iterator[str]:
    used: set[str] = set()
    template = entry.text("command")
    if template is not None:
        try:
            used.update(placeholders(template))
        except ValueError:
            return  # a broken template has a rule of its own, and what it would read is not known
    for key in entry.raw:
        if isinstance(key, str) and key not in READ[entry.kind] and key not in used:
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
    "key that is one slip from a known one",
    why="Nothing reads the key, so what it sets has no effect; one letter away it would.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "best_efort": True}}\n',
    good=GOOD,
    kinds=KINDS,
)
def slip(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A key that nothing reads is one edit from one that something does."""
    for key in _unread(entry):
        meant = _meant(key, entry)
        if meant and meant not in entry.raw:
            text = f"nothing reads {key!r} of a {entry.kind}; it has no effect"
            yield Hit(entry.key_at(key), text, f'write "{meant}" for "{key}"', entry.name)


@entry_rule(
    "DDB702",
    Severity.INFO,
    "key that nothing reads",
    why="It may be a note, or it was meant to do something.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "rack": 3}}\n',
    good='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "comment": "rack 3"}}\n',
    kinds=KINDS,
)
def unread(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A key is neither ARTIQ's nor in the command's template."""
    for key in _unread(entry):
        meant = _meant(key, entry)
        if meant is None or (meant and meant in entry.raw):
            yield Hit(entry.key_at(key), f"nothing reads {key!r} of a {entry.kind}", "", entry.name)

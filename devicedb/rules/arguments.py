"""Rules about the arguments of a local device: known to the driver's constructor, all there, none twice."""

from collections.abc import Iterator
from typing import Any

from devicedb.drivers.constraints import constraints
from devicedb.drivers.history import merged_argument, removed_argument
from devicedb.model.database import CheckedDatabase, Entry, kind_of, shown
from devicedb.model.fix import Change, Remove, Repair, Replace
from devicedb.rules.local import GOOD, KINDS, example, found_driver, ttl
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import rename_key
from devicedb.suggest import nearest, only_candidate


def key_site(entry: Entry, key: Any) -> int:
    """Return the site of the name of an argument."""
    node = entry.node.children.get("arguments")
    return node.key_at(key) if node is not None else entry.at()


def _instead(
    entry: Entry, key: str, names: tuple[str, ...], db: CheckedDatabase
) -> tuple[str, Repair | None]:
    """The hint for an unknown argument, and the repair; neither may lead to another error."""
    driver = entry.raw["module"], entry.raw["class"]
    site = key_site(entry, key)
    merged = merged_argument(*driver, key)
    if merged is not None and merged[0] in names:
        return _merge(entry, *merged)
    removed = removed_argument(*driver, key)
    takers = db.drivers.taking(*driver, key)
    if removed is None and takers:
        removed = f"ARTIQ {', '.join(takers)} takes it, ARTIQ {db.drivers.release} does not"
    if removed is not None:
        hint = f"remove it: {removed}"
        return hint, Repair(f'remove "{key}"', (Remove(site, key),)) if db.drivers.is_certain else None
    free = [name for name in names if name not in entry.arguments]
    near = nearest(key, free)
    value = entry.arguments[key]
    if near:
        constraint = constraints(db.drivers.release, *driver).get(near)
        if constraint is None or type(value).__name__ not in constraint.refused:
            meant = only_candidate(key, free)
            return f"Did you mean {near!r}?", rename_key(site, key, meant) if meant else None
        if constraint.device == "many" and isinstance(value, str):
            hint = f'write "{near}": [{value!r}]'
            changes = Replace(site, key, near), Replace(entry.at("arguments", key), value, (value,))
            return hint, Repair(hint, changes) if near == only_candidate(key, free) else None
    return f"it takes {', '.join(names) or 'none'}", None


def _merge(entry: Entry, new: str, old: tuple[str, ...]) -> tuple[str, Repair | None]:
    """The hint and the repair for arguments that became one list."""
    given = [name for name in old if name in entry.arguments]
    values = tuple(entry.arguments[name] for name in given)
    hint = f'write "{new}": {list(values)!r}'
    if new in entry.arguments or not all(isinstance(each, str) for each in values):
        return hint, None
    first, *rest = given
    changes: list[Change] = [Replace(key_site(entry, first), first, new)]
    changes.append(Replace(entry.at("arguments", first), values[0], values))
    changes += [Remove(key_site(entry, name), name) for name in rest]
    return hint, Repair(hint, tuple(changes))


def _has_dict(entry: Entry) -> bool:
    return "arguments" not in entry.raw or isinstance(entry.raw["arguments"], dict)


@entry_rule(
    "DDB504",
    Severity.ERROR,
    "unknown constructor argument",
    why="The driver's constructor does not accept it: TypeError when the device is asked for.",
    bad=example(ttl('"chanel": 0, "channel": 0')),
    good=GOOD,
    kinds=KINDS,
)
def unknown_argument(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    signature = found_driver(entry, db).signature
    if signature is None or signature.is_open:
        return
    known = (*signature.names, *signature.managers)
    for key in entry.arguments:
        if key in known:
            continue
        if not isinstance(key, str):
            text = (
                f"{entry.name!r}: the argument {shown(key)} is {kind_of(key)}; names of arguments are strings"
            )
            yield Hit(key_site(entry, key), text, "", entry.name)
            continue
        hint, repair = _instead(entry, key, signature.names, db)
        text = f"{entry.name!r}: {entry.raw['class']} takes no argument {key!r}"
        yield Hit(key_site(entry, key), text, hint, entry.name, repair=repair)


@entry_rule(
    "DDB505",
    Severity.ERROR,
    "constructor argument missing",
    why="The driver's constructor has no default for it: TypeError when the device is asked for.",
    bad=example(ttl("")),
    good=GOOD,
    kinds=KINDS,
)
def missing_argument(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    signature = found_driver(entry, db).signature
    if signature is None or not _has_dict(entry):
        return
    missing = [name for name in signature.required if name not in entry.arguments]
    if missing:
        names = ", ".join(map(repr, missing))
        text = f"{entry.name!r}: {entry.raw['class']} needs the argument{'s' if len(missing) > 1 else ''} {names}"
        yield Hit(entry.at("arguments"), text, "add it to 'arguments'", entry.name)


@entry_rule(
    "DDB506",
    Severity.ERROR,
    "constructor argument given twice",
    why="The device manager passes itself as the first argument; `arguments` gives it again: TypeError.",
    bad=example(ttl('"channel": 0, "dmgr": None')),
    good=GOOD,
    kinds=KINDS,
)
def given_twice(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    signature = found_driver(entry, db).signature
    if signature is None:
        return
    for name in signature.managers:
        if name in entry.arguments and name not in signature.names:
            text = f"{entry.name!r}: {name!r} is what ARTIQ fills with the device manager; it would be given twice"
            site = key_site(entry, name)
            repair = Repair(f'remove "{name}"', (Remove(site, name),))
            yield Hit(site, text, "remove it", entry.name, repair=repair)

"""The rule about devices whose constructors need each other."""

from collections.abc import Iterator
from typing import Any

from devicedb.model.database import CheckedDatabase, Entry
from devicedb.resolve import arrows
from devicedb.rules.local import example, ttl
from devicedb.rules.registry import Hit, Severity, database_rule
from devicedb.rules.values import GOOD, items, known_constraints


@database_rule(
    "DDB512",
    Severity.ERROR,
    "devices that need each other",
    why="The device manager constructs the second device for the first, and the first for the second: RecursionError.",
    bad=example(
        ttl('"spi_device": "cpld1"', "cpld0", "CPLD", "artiq.coredevice.urukul"),
        ttl('"spi_device": "cpld0"', "cpld1", "CPLD", "artiq.coredevice.urukul"),
    ),
    good=GOOD,
)
def circle(db: CheckedDatabase) -> Iterator[Hit]:
    every = {entry.name: needed(entry, db) for entry in db.of_kind("local")}
    wanted = {name for found in every.values() for name in found}
    needs = {name: found for name, found in every.items() if name in wanted}  # the others are in no circle
    for members in circles({name: set(found) for name, found in needs.items()}):
        order = _along(members, needs)
        for index, name in enumerate(order):
            other = order[(index + 1) % len(order)]
            path = needs[name].get(other) or next(
                needs[name][each] for each in needs[name] if each in members
            )
            text = f"{name!r} cannot be constructed: {arrows([*order[index:], *order[:index], name])} need each other"
            yield Hit(
                db.entries[name].at("arguments", *path), text, "one of them must not need the next", name
            )


def needed(entry: Entry, db: CheckedDatabase) -> dict[str, tuple[Any, ...]]:
    """Return the local devices that a constructor asks for, each with the path of the argument."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, constraint in known_constraints(entry, db).items():
        if not constraint.device:
            continue
        value = entry.arguments.get(name, constraint.default)
        for each, path in [(value, (name,))] if constraint.device == "one" else items(name, value):
            behind = db.entry_behind(each)
            if behind is not None and behind.kind == "local":
                found.setdefault(behind.name, path)
    return found


def circles(needs: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of names that need each other (strongly connected, or a name that needs itself).

    Args:
        needs: What each name needs; every name is a key.

    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    stacked: set[str] = set()
    found: list[set[str]] = []
    for start in needs:
        if start in index:
            continue
        work = [(start, iter(needs[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        stacked.add(start)
        while work:
            name, rest = work[-1]
            for each in rest:
                if each not in index:
                    index[each] = low[each] = len(index)
                    stack.append(each)
                    stacked.add(each)
                    work.append((each, iter(needs[each])))
                    break
                if each in stacked:
                    low[name] = min(low[name], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    members: set[str] = set()
                    while not members or each != name:
                        each = stack.pop()
                        stacked.discard(each)
                        members.add(each)
                    if len(members) > 1 or name in needs[name]:
                        found.append(members)
    return found


def _along(members: set[str], needs: dict[str, dict[str, tuple[Any, ...]]]) -> list[str]:
    """The members in an order in which each needs the next, as far as there is one."""
    order = [min(members)]
    while True:
        following = next((each for each in needs[order[-1]] if each in members and each not in order), None)
        if following is None:
            return order + sorted(members - set(order))
        order.append(following)

"""Rules about keys that the source writes twice: Python keeps the last and says nothing."""

from collections.abc import Iterator
from typing import Any

from devicedb.model.facts import FileFacts
from devicedb.place import Place
from devicedb.rules.registry import Hit, Severity, file_rule

GOOD = 'device_db = {"ttl0": {"type": "dummy"}, "ttl1": {"type": "dummy", "comment": "spare"}}\n'


def _hits(facts: FileFacts, kind: str, same: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
    for fact in facts.duplicates:
        if fact["kind"] == kind and fact["same"] is same:
            yield Place(fact["file"], *fact["place"]), fact


@file_rule(
    "DDB111",
    Severity.ERROR,
    "key twice in one dict, with different values",
    why="Python keeps the last value silently: the first device does not exist.",
    bad='device_db = {"ttl0": {"type": "dummy"}, "ttl0": {"type": "dummy", "comment": "spare"}}\n',
    good=GOOD,
)
def twice_differing(facts: FileFacts) -> Iterator[Hit]:
    for place, fact in _hits(facts, "literal", False):
        text = f"{fact['key']!r} is in this dict twice, with another value in line {fact['first']}: that one is lost"
        yield Hit(place, text, "remove or rename one of them", fact["key"])


@file_rule(
    "DDB112",
    Severity.WARNING,
    "key twice in one dict, with equal values",
    why="Harmless until one of the two is edited.",
    bad='device_db = {"ttl0": {"type": "dummy"}, "ttl0": {"type": "dummy"}}\n',
    good=GOOD,
)
def twice_equal(facts: FileFacts) -> Iterator[Hit]:
    for place, fact in _hits(facts, "literal", True):
        text = f"{fact['key']!r} is in this dict twice, with the same value as in line {fact['first']}"
        yield Hit(place, text, "remove one of them", fact["key"])


@file_rule(
    "DDB113",
    Severity.WARNING,
    "name assigned again with another value",
    why="Only the later entry exists, while the first one is often still needed.",
    bad='device_db = {"ttl0": {"type": "dummy"}}\ndevice_db["ttl0"] = {"type": "dummy", "comment": "spare"}\n',
    good=GOOD,
)
def assigned_again(facts: FileFacts) -> Iterator[Hit]:
    for place, fact in _hits(facts, "reassigned", False):
        text = f"{fact['key']!r} was given another value in line {fact['first']}: that one is lost"
        yield Hit(place, text, "remove or rename one of them", fact["key"])

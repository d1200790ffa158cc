"""The methods of ARTIQ's drivers, for those who have no ARTIQ: made from source, read where a driver is simulated."""

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from devicedb.catalogue.build import Package, drivers_in
from devicedb.drivers.methods import DriverFacts, Method, facts_of_class, parse_signature, written_signatures
from devicedb.drivers.sources import SourceFinder

FILE: Final = Path(__file__).with_name("artiq_methods.json")

ABOUT: Final = (
    "Public methods of the drivers that ARTIQ ships for `local` device database entries, with the signatures of their "
    "source, and the names of their other public attributes. Where releases differ, the newest one's signature, and in "
    "`older` those that take other calls; what any of the releases has is listed. `open` marks a driver that may have "
    "more. Read from the release branches."
)

_ORIGIN: Final = "ARTIQ's catalogue"

Methods = dict[str, dict[str, dict[str, Any]]]
"""{module: {class: {"methods": {name: text}, "attributes": [name], "older": {name: [text]}, "open": bool}}}."""


def methods_in(package: Package) -> Methods:
    """Return the methods of every driver of a package.

    Raises:
        CatalogueError: A file cannot be parsed, so the catalogue would be incomplete.

    """
    finder = SourceFinder((str(package.root),))
    found: Methods = {}
    for module, name, _ in drivers_in(package):
        source = finder.source(module)
        each = finder.find_class(source, name) if source is not None else None
        if each is None:
            continue
        facts = facts_of_class(each, finder)
        entry: dict[str, Any] = {
            "methods": written_signatures(each, finder),
            "attributes": sorted(facts.attributes),
        }
        if not facts.is_closed:
            entry["open"] = True
        found.setdefault(module, {})[name] = entry
    return found


def _takes_other_calls(older: str, newer: str) -> bool:
    """Return whether a call that fits an older signature may not fit the newer one."""
    before, now = (list(parse_signature(text).parameters.values()) for text in (older, newer))
    same = [each.name for each in before] == [each.name for each in now[: len(before)]]
    return not same or any(each.default is each.empty for each in now[len(before) :])


def merged(releases: Iterable[Methods]) -> Methods:
    """Return the drivers of several releases, the newest one first."""
    made: Methods = {}
    for release in releases:
        for module, classes in release.items():
            for name, entry in classes.items():
                before = made.setdefault(module, {}).setdefault(name, {"methods": {}, "attributes": []})
                for method, text in entry["methods"].items():
                    newer = before["methods"].setdefault(method, text)
                    known = before.get("older", {}).get(method, [])
                    if text not in known and _takes_other_calls(text, newer):
                        before.setdefault("older", {})[method] = [*known, text]
                before["attributes"] = sorted(
                    {*before["attributes"], *entry["attributes"]} - before["methods"].keys()
                )
                if entry.get("open"):
                    before["open"] = True
    return {
        module: {
            name: {**entry, "methods": dict(sorted(entry["methods"].items()))}
            for name, entry in sorted(classes.items())
        }
        for module, classes in sorted(made.items())
    }


def as_json(drivers: Methods) -> str:
    """Return the text of the file."""
    return json.dumps({"about": ABOUT, "drivers": drivers}, indent=0) + "\n"


@cache
def _catalogue() -> Methods:
    drivers: Methods = json.loads(FILE.read_bytes())["drivers"]
    return drivers


def artiq_driver(module: str, name: str) -> DriverFacts | None:
    """Return what the catalogue knows of one of ARTIQ's drivers, None if it is not listed.

    Args:
        module: Its module: "artiq.coredevice.ttl".
        name: Its class.

    """
    entry = _catalogue().get(module, {}).get(name)
    if entry is None:
        return None
    older = entry.get("older", {})
    methods = {
        each: Method(
            each,
            parse_signature(text),
            origin=_ORIGIN,
            older=tuple(map(parse_signature, older.get(each, ()))),
        )
        for each, text in entry["methods"].items()
    }
    return DriverFacts(
        name, None, _ORIGIN, methods, frozenset(entry["attributes"]), is_closed=not entry.get("open", False)
    )


def main() -> None:
    """Print the file for the releases whose packages are named, the newest one first."""
    from devicedb.catalogue.build import find_package

    sys.stdout.write(as_json(merged([methods_in(find_package(each)) for each in sys.argv[1:]])))


if __name__ == "__main__":
    main()

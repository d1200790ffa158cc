"""Reads the table of constructor values that ARTIQ's drivers refuse; `devicedb.catalogue.probe` makes it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[1] / "catalogue" / "artiq_constraints.json"
ARTIQ: Final = "artiq.coredevice."


@dataclass(frozen=True)
class Constraint:
    """What a driver accepts as one argument."""

    device: str = ""
    """"one" if the argument names a device, "many" for a list of names."""
    default: str | None = None
    """Name of the device that is used if the argument is not given."""
    kinds: frozenset[str] | None = None
    """Drivers that are accepted as the one device ("urukul.CPLD"); None: all."""
    refused: frozenset[str] = frozenset()
    """Names of types that are refused."""
    words: tuple[str, ...] = ()
    """Strings that are accepted; empty: all."""
    least: int | None = None
    most: int | None = None


@cache
def _releases() -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    table: dict[str, dict[str, dict[str, dict[str, Any]]]] = json.loads(FILE.read_bytes())["releases"]
    return table


@cache
def constraints(release: str, module: str, name: str) -> dict[str, Constraint]:
    """Return the constraints of a driver by argument; empty if the driver is not in the table."""
    if not module.startswith(ARTIQ):
        return {}
    facts = _releases().get(release, {}).get(f"{module.removeprefix(ARTIQ)}.{name}", {})
    return {argument: _constraint(fact) for argument, fact in facts.items()}


def _constraint(fact: dict[str, Any]) -> Constraint:
    return Constraint(
        device=fact.get("device", ""),
        default=fact.get("default"),
        kinds=frozenset(fact["kinds"]) if "kinds" in fact else None,
        refused=frozenset(fact.get("refused", ())),
        words=tuple(fact.get("words", ())),
        least=fact.get("least"),
        most=fact.get("most"),
    )


@cache
def is_probed(release: str, module: str, name: str) -> bool:
    """Whether the table has a driver."""
    return module.startswith(ARTIQ) and f"{module.removeprefix(ARTIQ)}.{name}" in _releases().get(release, {})


def accepting_releases(module: str, name: str, argument: str, word: str) -> list[str]:
    """Return the releases in which a driver accepts a string as an argument."""
    return [
        release
        for release in _releases()
        if (found := constraints(release, module, name).get(argument)) is not None and word in found.words
    ]

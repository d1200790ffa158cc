"""Reads the catalogue of ARTIQ's drivers."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parents[1] / "catalogue" / "artiq_coredevice.json"
RELEASES: Final = ("7", "8", "9")
NEWEST: Final = RELEASES[-1]


@dataclass(frozen=True)
class Driver:
    """Constructor arguments of a driver in some releases, the device manager left out."""

    releases: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    is_open: bool = False
    """Whether it takes `**kwargs`."""


@cache
def catalogue() -> dict[str, dict[str, tuple[Driver, ...]]]:
    """Return {module: {class: its forms by release}}."""
    drivers = json.loads(FILE.read_bytes())["drivers"]
    return {
        module: {
            name: tuple(
                Driver(
                    tuple(form["releases"]),
                    tuple(form["required"]),
                    tuple(form["optional"]),
                    bool(form.get("open", False)),
                )
                for form in forms
            )
            for name, forms in classes.items()
        }
        for module, classes in drivers.items()
    }

"""The names that ARTIQ's modules of drivers have beside the drivers: constants, classes, errors, functions.

Made by importing the modules of an installed ARTIQ, read where an experiment imports them without ARTIQ:

    PYTHON names.py [OLDER.json] > artiq_names.json

It imports nothing of this project where it is run as a program, because it is run by ARTIQ's interpreter.
"""

import importlib
import inspect
import json
import pkgutil
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "artiq.coredevice"
FILE: Final = Path(__file__).with_name("artiq_names.json")
ABOUT: Final = (
    "Names of the modules of artiq.coredevice of releases 7 to 9: numeric constants with their values, which agree in "
    "all three, and the names of classes, errors and functions."
)

Names = dict[str, dict[str, Any]]
"""{module: {"constants": {name: number}, "classes": [name], "errors": [name], "functions": [name]}}."""


def names_in(package: str) -> Names:
    """Return the names of every module of an importable package; one that needs more than is installed is left out."""
    found: Names = {}
    for each in pkgutil.iter_modules(importlib.import_module(package).__path__):
        try:
            module = importlib.import_module(f"{package}.{each.name}")
        except ImportError as error:
            sys.stderr.write(f"left out: {package}.{each.name}: {error}\n")
            continue
        own = {
            name: value
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__
        }
        classes = [name for name, value in own.items() if inspect.isclass(value)]
        errors = [name for name in classes if issubclass(own[name], BaseException)]
        found[module.__name__] = {
            "constants": {
                name: value for name, value in vars(module).items()
                if name.isupper() and isinstance(value, int | float) and not isinstance(value, bool)
            },
            "classes": sorted(name for name in classes if name not in errors and not name.startswith("_")),
            "errors": sorted(errors),
            "functions": sorted(
                name for name, value in own.items()
                if callable(value) and not inspect.isclass(value) and not name.startswith("_") and not name.isupper()
                and not each.name.endswith("_reg")
            ),
        }  # fmt: skip
    return found


def merged(newer: Names, older: Names) -> Names:
    """Return what either has; where both have a constant, the newer value."""
    both: Names = {}
    for module in sorted({*newer, *older}):
        new, old = newer.get(module, {}), older.get(module, {})
        constants = {**old.get("constants", {}), **new.get("constants", {})}
        both[module] = {"constants": dict(sorted(constants.items()))} | {
            kind: sorted({*new.get(kind, []), *old.get(kind, [])})
            for kind in ("classes", "errors", "functions")
        }
    return both


@cache
def artiq_names() -> Names:
    """Return the names of the modules of `artiq.coredevice`, by module."""
    modules: Names = json.loads(FILE.read_bytes())["modules"]
    return modules


def main() -> None:
    """Print the file."""
    names = names_in(PACKAGE)
    if len(sys.argv) > 1:
        names = merged(names, json.loads(Path(sys.argv[1]).read_bytes())["modules"])
    lines = ",\n".join(
        f"{json.dumps(module)}: {json.dumps(each)}" for module, each in merged(names, {}).items()
    )
    sys.stdout.write(f'{{"about": {json.dumps(ABOUT)}, "modules": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()

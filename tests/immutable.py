"""Which dataclasses of a package can be changed after they are made."""

import dataclasses
import importlib
import inspect
import pkgutil


def changeable(package: str) -> set[str]:
    """Return the names of the dataclasses in a package and all below it whose objects take another value."""
    root = importlib.import_module(package)
    below = (each.name for each in pkgutil.walk_packages(root.__path__, f"{package}."))
    names = [package, *(name for name in below if not name.endswith(".__main__"))]
    return {
        found.__name__
        for name in names
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if found.__module__ == name and dataclasses.is_dataclass(found) and not _is_frozen(found)
    }


def _is_frozen(found: type) -> bool:
    parameters = getattr(found, "__dataclass_params__")  # noqa: B009  # no stub has it
    return bool(parameters.frozen)

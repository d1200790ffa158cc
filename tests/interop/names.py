"""Run by the interpreter that has the reference library: prints its public names and their parameters as JSON."""

import importlib
import inspect
import json
import pkgutil
import types
from typing import Any

import sipyco


def parameters(thing: Any) -> list[str]:
    try:
        found = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []
    return [each.name for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]


def names(module: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    exported = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        own = name in exported if exported is not None else value_is_of(value, module)
        if name.startswith("_") or not own or isinstance(value, types.ModuleType):
            continue
        found[name] = parameters(value)
        if isinstance(value, type):
            found |= {
                f"{name}.{method}": parameters(function)
                for method, function in vars(value).items()
                if not method.startswith("_") and callable(function)
            }
    return found


def value_is_of(value: Any, module: Any) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


if __name__ == "__main__":
    result = {}
    for info in pkgutil.iter_modules(sipyco.__path__):
        if info.name != "test":
            result[info.name] = names(importlib.import_module(f"sipyco.{info.name}"))
    print(json.dumps(result))

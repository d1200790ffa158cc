"""What a function needs to run elsewhere, found in its source: definitions, imports and values, or a refusal."""

import builtins
import functools
import inspect
import logging
import re
import sys
import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rexec.remote._errors import CannotTravel
from rexec.remote._provided import Placeholder
from rexec.remote._shipment import Bundle, Shipment, digest
from rexec.remote._source import (
    assignment_of,
    imported_from,
    is_local,
    names_used,
    source_of,
    without_own_decorators,
)
from rexec.wire import pyon

_BUILTIN = frozenset(vars(builtins)) | {"__name__", "__file__"}
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set})
"""Types of values that travel as they are; of others the name may be one that can be imported."""
_DEFINED = types.FunctionType | type | TypeVar | ParamSpec


def analyse(function: Callable[..., Any]) -> Shipment:
    """Return what must be sent so that a function runs on a controller.

    Args:
        function: A function defined with `def` in a file.

    Raises:
        CannotTravel: It, or something it uses, cannot be sent; names it and its line.

    """
    found = _unwrapped(function)
    if not isinstance(found, types.FunctionType):
        raise CannotTravel(_no_function(function))
    module = sys.modules.get(found.__module__)
    if module is not None and not is_local(module):
        raise CannotTravel(
            f"{found.__module__}.{found.__qualname__} is of an installed package: call it in a def of your own"
        )
    collector = _Collector()
    key = collector.add(found)
    return Shipment(found.__name__, key, collector.bundles(), collector.modules, collector.wanted)


def _unwrapped(value: Any) -> Any:
    """Return what a decorator such as `functools.wraps` or `functools.cache` was put around: its source has those."""
    value = getattr(value, "rexec_function", value)
    found = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return found if isinstance(found, types.FunctionType) else value


def _no_function(thing: Any) -> str:
    if isinstance(thing, types.MethodType) and isinstance(thing.__func__, types.FunctionType):
        code = thing.__func__.__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        return f"{where}: {thing.__func__.__qualname__} is a method: write a function outside the class"
    if isinstance(thing, type):
        return f"{thing.__qualname__} is a class: wrap what it is to do in a def"
    if isinstance(thing, functools.partial):
        return f"a partial of {thing.func!r}: give the function itself, and its arguments when you call it"
    return f"{thing!r} is no function written in Python: wrap it in a def"


class _Collector:
    def __init__(self) -> None:
        self._bundles: dict[str, Bundle] = {}
        self._order: list[str] = []
        self._seen: set[tuple[str, str]] = set()
        self.modules: list[types.ModuleType] = []
        self.wanted: dict[str, str] = {}

    def bundles(self) -> list[Bundle]:
        return [self._bundles[key] for key in self._order]

    def add(self, thing: Any) -> str:
        """Add a function or class with all it uses; return the key of its module."""
        text, line, file = source_of(thing)
        closure: dict[str, Any] = {}
        if isinstance(thing, types.FunctionType):
            closure = dict(inspect.getclosurevars(thing).nonlocals)
            scope = thing.__globals__
        else:
            scope = vars(sys.modules[thing.__module__])
        module = str(scope.get("__name__", "__main__"))
        key = module
        if "<locals>" in thing.__qualname__:
            # Of the same text there may be many, each with other values.
            told = f"{text}{[(name, _told(value)) for name, value in sorted(closure.items())]}"
            key = f"{module}#{digest(told)[:12]}"
        bundle = self._bundles.setdefault(key, Bundle(key, module, file))
        if (key, thing.__name__) in self._seen:
            return key
        self._seen.add((key, thing.__name__))
        text = without_own_decorators(text, scope)
        used, made = names_used(text, line)
        for name, at in used.items():
            where = f"{file}:{at}"
            if name in closure:
                self._value(bundle, name, closure[name], scope, where)
            elif name in scope:
                self._value(bundle, name, scope[name], scope, where)
            elif name not in _BUILTIN and name != thing.__name__ and name not in made:
                bundle.provided[name] = name
                self.wanted[name] = where
        bundle.pieces.append((thing.__name__, line, text))
        # After whatever it binds names of.
        self._order = [*(each for each in self._order if each != key), key]
        return key

    def _value(self, bundle: Bundle, name: str, value: Any, scope: dict[str, Any], where: str) -> None:
        """Add something that a name stands for."""
        if (bundle.key, name) in self._seen:
            return
        unwrapped = value if isinstance(value, Placeholder) else _unwrapped(value)
        if isinstance(unwrapped, _DEFINED) and self._definition(bundle, name, value, scope, where):
            return
        self._seen.add((bundle.key, name))
        if isinstance(value, Placeholder):
            bundle.provided[name] = value.rexec_name
            if value.rexec_name != "job":
                self.wanted[value.rexec_name] = where
        elif isinstance(value, types.ModuleType):
            if is_local(value):
                self.modules.append(value)
            bundle.imports.append((name, value.__name__, None))
        elif isinstance(value, logging.Logger):
            bundle.pieces.append((name, 1, f"import logging; {name} = logging.getLogger(__name__)"))
        elif isinstance(value, re.Pattern):
            text = f"import re; {name} = re.compile({value.pattern!r}, {value.flags})"
            bundle.pieces.append((name, 1, text))
        elif type(value) not in _PLAIN and (found := imported_from(scope, name, value)) is not None:
            bundle.imports.append((name, *found))
        else:
            try:
                pyon.encode(value)
            except (TypeError, ValueError) as error:
                kind = type(value).__qualname__
                raise CannotTravel(
                    f"{where}: {name} is of type {kind} and cannot travel to the controller ({error}). Make it "
                    "inside the function, or give the function plain values as arguments"
                ) from None
            bundle.values[name] = value

    def _definition(self, bundle: Bundle, name: str, value: Any, scope: dict[str, Any], where: str) -> bool:
        """Add a function or class; return False where it is better imported."""
        thing = _unwrapped(value)
        module = sys.modules.get(thing.__module__)
        if module is None or not is_local(module):
            return False
        statement = assignment_of(name, scope) if bundle.module == scope.get("__name__") else None
        has_def = isinstance(thing, types.FunctionType) and thing.__name__ != "<lambda>"
        # A namedtuple, a lambda, a type variable; or a function that was decorated after its definition.
        assigned = statement is not None and (not has_def or value is not thing)
        try:
            if has_def or not assigned:
                key = self.add(thing)
                if not assigned and (key != bundle.key or name != thing.__name__):
                    bundle.binds.append((name, key, thing.__name__))
            if statement is not None and assigned:
                self._assignment(bundle, name, statement, scope)
        except CannotTravel as error:
            raise CannotTravel(f"{where}: {name}: {error}") from None
        return True

    def _assignment(
        self, bundle: Bundle, name: str, statement: tuple[str, int], scope: dict[str, Any]
    ) -> None:
        """Add a module's statement `name = …`, and what it uses."""
        self._seen.add((bundle.key, name))
        text, line = statement
        for used, at in names_used(text, line)[0].items():
            if used in scope and used not in _BUILTIN and used != name:
                self._value(bundle, used, scope[used], scope, f"{bundle.file}:{at}")
        bundle.pieces.append((f"{name} =", line, text))


def _told(value: Any) -> str:
    """Return what tells a closed-over value from others."""
    try:
        return digest(value)
    except (TypeError, ValueError):
        return repr(value)

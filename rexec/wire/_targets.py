"""What a server offers: its targets, their methods, and which of them may be called while the driver is busy."""

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

_MARK: Final = "_rexec_while_busy"
_PLAIN: Final = (staticmethod, classmethod)

F = TypeVar("F", bound=Callable[..., Any])


def while_busy(function: F) -> F:
    """Mark a method as safe to be called at any time, from another thread than all others.

    A server answers it at once, even while a call of the driver runs. Such a method must be quick, must not touch
    the instrument, and no coroutine. On a factory of targets it means that the factory may be called so.

    Args:
        function: The method (decorator).

    Raises:
        TypeError: It is a coroutine function.

    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{function.__qualname__} is a coroutine: it cannot be answered while the driver is busy"
        )
    setattr(function, _MARK, True)
    return function


def is_while_busy(target: Any, name: str) -> bool:
    """Return whether a method of a target is marked."""
    found = inspect.getattr_static(target, name, None)
    if isinstance(found, _PLAIN):
        found = found.__func__
    return getattr(found, _MARK, False) is True


def is_marked(function: Any) -> bool:
    """Return whether a function itself is marked."""
    return getattr(function, _MARK, False) is True


def method_names(target: Any, *, terminate: bool) -> set[str]:
    """Return the names of callable attributes of a target, without evaluating its properties.

    Args:
        target: The object.
        terminate: Whether the server itself adds `terminate`.

    """
    names = {name for name in dir(target) if _is_method(target, name)}
    return names | {"terminate"} if terminate else names


def _is_method(target: Any, name: str) -> bool:
    missing = object()
    found = inspect.getattr_static(target, name, missing)
    if inspect.isdatadescriptor(found) and not inspect.ismemberdescriptor(found):
        # Asking would run the driver's code, perhaps talk to the instrument; __class__ is the harmless one.
        return name == "__class__"
    if found is not missing and not hasattr(type(found), "__get__"):
        return callable(found)
    try:
        return callable(getattr(target, name))
    except Exception:
        return False  # an attribute that cannot be read cannot be called


def describe(target: Any, *, terminate: bool) -> dict[str, Any]:
    """Return docstring and public methods of a target: {"docstring": …, "methods": {name: (argspec, docstring)}}."""
    methods: dict[str, Any] = {}
    for name in sorted(method_names(target, terminate=False)):
        if name.startswith("_"):
            continue
        try:
            method = getattr(target, name)
            methods[name] = (_argspec(method), inspect.getdoc(method))
        except (TypeError, ValueError):
            continue  # a callable without a signature, such as some built-in ones
    if terminate:
        methods["terminate"] = (
            {
                "args": ["self"],
                "defaults": None,
                "varargs": None,
                "varkw": None,
                "kwonlyargs": [],
                "kwonlydefaults": [],
            },
            "Terminate the server.",
        )
    return {"docstring": inspect.getdoc(target), "methods": methods}


def _argspec(method: Any) -> dict[str, Any]:
    spec = inspect.getfullargspec(method)
    args = spec.args
    if not inspect.ismethod(method) and not (args and args[0] == "self"):
        args = ["self", *args]
    return {
        "args": args,
        "varargs": spec.varargs,
        "varkw": spec.varkw,
        "defaults": None if spec.defaults is None else tuple(map(_portable, spec.defaults)),
        "kwonlyargs": spec.kwonlyargs,
        "kwonlydefaults": spec.kwonlydefaults and {k: _portable(v) for k, v in spec.kwonlydefaults.items()},
        "annotations": {name: _annotation(kind) for name, kind in spec.annotations.items()},
    }


def _annotation(annotation: Any) -> str:
    """Return an annotation as text; it may be a string already (`from __future__ import annotations`)."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__qualname__
    return str(annotation)


def _portable(value: Any) -> Any:
    """Return a default value as it can travel: itself, or its repr."""
    from rexec.wire import pyon

    try:
        pyon.encode(value)
    except (TypeError, ValueError):
        return repr(value)
    return value

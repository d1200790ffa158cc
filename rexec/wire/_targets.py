"""Targets of a server, their methods, and the methods that may be called while the driver is busy."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rexec.access.rights import Right

_MARK: Final = "_rexec_while_busy"
_ENDS_MARK: Final = "_rexec_ends_with_client"
_READ_MARK: Final = "_rexec_read_only"
_PING: Final = "ping"
"""The method by which controller managers see that a controller is alive."""
_PLAIN: Final = (staticmethod, classmethod)

F = TypeVar("F", bound=Callable[..., Any])


def can_be_served(name: str) -> bool:
    """Whether a target may have a name: the handshake separates names by white space, and is ASCII."""
    return bool(name) and name.isascii() and not any(character.isspace() for character in name)


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


def ends_with_client(function: F) -> F:
    """Mark a coroutine method that is cancelled when the client that waits for it has gone.

    Unmarked ones go on to their end, as a driver's must. A client that has closed its sending half counts as gone.

    Args:
        function: The method (decorator).

    Raises:
        TypeError: It is no coroutine function.

    """
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__qualname__} is no coroutine function: it cannot be cancelled")
    setattr(function, _ENDS_MARK, True)
    return function


def read_only(function: F) -> F:
    """Mark a method as one that changes nothing, neither of the driver nor of the instrument.

    A person with the right `read` may call it (`allow` in the controller's entry).

    Args:
        function: The method (decorator).

    """
    setattr(function, _READ_MARK, True)
    return function


def needed_right(target: Any, request: dict[str, Any]) -> Right:
    """Return the right that a request to a target takes. Runs no code of the target."""
    if request.get("action") == "lease":
        return Right.CALL if request.get("name") == "take" and True in request.get("args", ()) else Right.READ
    if is_remote_execution(target):
        return Right.REXEC
    if request.get("action") == "get_rpc_method_list":
        return Right.READ
    name = request.get("name")
    if isinstance(name, str) and (name == _PING or _has_mark(target, name, _READ_MARK)):
        return Right.READ
    return Right.CALL


def is_remote_execution(target: Any) -> bool:
    """Return whether a target, or the class of one, runs code of clients: it has `add_code` and `call`."""
    missing = object()
    return all(inspect.getattr_static(target, name, missing) is not missing for name in ("add_code", "call"))


def made_by(factory: Any) -> Any:
    """Return the class of the targets that a factory makes, as far as it says; None otherwise."""
    if isinstance(factory, type):
        return factory
    found = getattr(factory, "__annotations__", {}).get("return")
    return found if isinstance(found, type) else None


def is_ended_with_client(target: Any, name: str) -> bool:
    """Return whether a method of a target is marked to be cancelled when its client has gone."""
    return _has_mark(target, name, _ENDS_MARK)


def is_while_busy(target: Any, name: str) -> bool:
    """Return whether a method of a target is marked."""
    return _has_mark(target, name, _MARK)


def _has_mark(target: Any, name: str, mark: str) -> bool:
    found = inspect.getattr_static(target, name, None)
    # `@staticmethod` may stand above the mark or below it.
    candidates = (found, found.__func__) if isinstance(found, _PLAIN) else (found,)
    return any(getattr(each, mark, False) is True for each in candidates)


def is_marked(function: Any) -> bool:
    """Return whether a function itself is marked."""
    return getattr(function, _MARK, False) is True


def made(factory: Callable[[], Any]) -> Any:
    """Return the target of one connection.

    Raises:
        RuntimeError: The factory raised something that is no Exception, such as SystemExit.
        Exception: What it raised.

    """
    try:
        return factory()
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"the target could not be made: {error!r}") from error


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
    is_property = inspect.isdatadescriptor(found) and not inspect.ismemberdescriptor(found)
    if is_property or isinstance(found, functools.cached_property):
        # Asking would run the driver's code, perhaps talk to the instrument; __class__ is the harmless one.
        return name == "__class__"
    if found is not missing and not hasattr(type(found), "__get__"):
        return callable(found)
    try:
        return callable(getattr(target, name))
    except BaseException:
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

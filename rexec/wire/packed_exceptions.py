"""Exceptions as values on the wire, and back."""

import ast
import builtins
import sys
import traceback
from types import TracebackType
from typing import Any, Final, NoReturn

from rexec.wire import pyon

__all__ = [
    "GenericRemoteException",
    "builtin_exceptions",
    "current_exc_packed",
    "exception_from",
    "pack_exception",
    "raise_packed_exc",
]

_MAX_ARGUMENTS: Final = 1 << 16
_RULE: Final = {
    "cause": "\nThe above exception was the direct cause of the following exception:\n\n",
    "context": "\nDuring handling of the above exception, another exception occurred:\n\n",
}

builtin_exceptions: Final[dict[type[BaseException], str]] = {
    kind: name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
"""The exceptions that travel as themselves, and their names on the wire. An alias comes last: OSError is there once."""


class GenericRemoteException(Exception):
    """An exception of a class that is not built in was raised by the remote side.

    Attributes:
        remote_class: Qualified name of the class there.
        parent_traceback: Formatted frames of the remote side, outermost first.

    """

    remote_class: str = "Exception"
    parent_traceback: tuple[str, ...] | list[str] = ()


def current_exc_packed() -> dict[str, Any]:
    """Return the exception that is being handled, as the value that travels.

    Raises:
        RuntimeError: None is being handled.

    """
    error = sys.exception()
    if error is None:
        raise RuntimeError("no exception is being handled")
    return pack_exception(error)


def pack_exception(error: BaseException, *, extended: bool = False, skip: int = 0) -> dict[str, Any]:
    """Return an exception as the value that travels, whatever its own methods do.

    Args:
        error: The exception.
        extended: The receiver is one of ours: add the constructor's arguments, and the class by name.
        skip: Number of outermost frames that belong to the server, not to the method that was called.

    """
    try:
        return _packed(error, extended=extended, skip=skip)
    except BaseException as inner:
        kind = type.__getattribute__(type(error), "__name__")
        message = f"{kind}: <{type(inner).__name__} while the exception was packed>"
        return {"class": "GenericRemoteException", "message": message, "traceback": []}


def _packed(error: BaseException, *, extended: bool, skip: int) -> dict[str, Any]:
    name = type(error).__qualname__
    is_builtin = _builtin(type(error).__name__) is type(error)
    text = _text(error)
    if isinstance(error, GenericRemoteException):
        packed_name, message = "GenericRemoteException", text
        name = error.remote_class
    elif is_builtin:
        packed_name, message = name, text
    else:
        # As the last line of a traceback has it, and every peer.
        module = type(error).__module__
        told = name if module in ("__main__", "builtins") else f"{module}.{name}"
        packed_name, message = "GenericRemoteException", f"{told}: {text}" if text else told
    frames = error.__traceback__
    while skip and frames is not None and frames.tb_next is not None:
        frames, skip = frames.tb_next, skip - 1
    packed = {"class": packed_name, "message": message, "traceback": _chain(error) + _frames(error, frames)}
    if extended:
        packed["remote_class"] = name
        arguments = _arguments(error) if is_builtin else None
        if arguments is not None:
            packed["args"] = arguments
    return packed


def exception_from(pack: Any, origin: str = "the remote side") -> Exception:
    """Return the exception that a packed one stands for.

    Args:
        pack: What `pack_exception`, or any peer of the protocol, made.
        origin: Where it was raised, for the note that is printed below the local traceback.

    """
    if not isinstance(pack, dict):
        pack = {}
    name, message, frames = pack.get("class"), pack.get("message"), pack.get("traceback")
    message = message if isinstance(message, str) else repr(message)
    frames = [frame for frame in frames if isinstance(frame, str)] if isinstance(frames, list | tuple) else []
    kind = _builtin(name)
    error: Exception
    if kind is None:
        error = GenericRemoteException(message)
        named = pack.get("remote_class")
        if name != "GenericRemoteException":
            error.args = (f"{name}: {message}",)
            named = named or name
        error.remote_class = named if isinstance(named, str) else message.partition(":")[0]
    else:
        error = _rebuilt(kind, message, pack.get("args"))
    error.parent_traceback = frames  # type: ignore[attr-defined]
    if frames:
        error.add_note(f"Traceback of {origin} (most recent call last):\n{''.join(frames).rstrip()}")
    return error


def raise_packed_exc(pack: Any) -> NoReturn:
    """Raise the exception that a packed one stands for.

    Raises:
        Exception: As packed: a builtin one as its own class, others as GenericRemoteException.

    """
    raise exception_from(pack)


def _builtin(name: Any) -> type[Exception] | None:
    """Return the builtin exception of a name; not those that would end the caller's program."""
    kind = getattr(builtins, name, None) if isinstance(name, str) else None
    return kind if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ == name else None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as inner:
        return f"<{type(inner).__name__} while the message was made>"


def _frames(error: BaseException, frames: TracebackType | None) -> list[str]:
    notes = getattr(error, "__notes__", None)
    told = [f"  note: {note}\n" for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    return traceback.format_tb(frames) + told


def _chain(error: BaseException, depth: int = 0) -> list[str]:
    """Return the frames of what caused an exception, oldest first, with the words that Python uses."""
    earlier, word = error.__cause__, "cause"
    if earlier is None and not error.__suppress_context__:
        earlier, word = error.__context__, "context"
    if earlier is None or depth > 20:
        return []
    headline = "".join(traceback.format_exception_only(type(earlier), earlier))
    return [
        *_chain(earlier, depth + 1),
        *traceback.format_tb(earlier.__traceback__),
        headline + _RULE[word],
    ]


def _arguments(error: BaseException) -> list[Any] | None:
    """Return the constructor's arguments where they can travel."""
    try:
        arguments = list(error.__reduce__()[1])
        if len(pyon.encode(arguments)) <= _MAX_ARGUMENTS:
            return arguments
    except Exception:
        return None  # an exception whose arguments cannot travel still has its message
    return None


def _rebuilt(kind: type[Exception], message: str, arguments: Any) -> Exception:
    candidates: list[list[Any]] = [arguments] if isinstance(arguments, list) else []
    candidates += _readings(kind, message)
    for candidate in candidates:
        try:
            error = kind(*candidate)
            if str(error) == message:
                return error
        except Exception:  # noqa: S112 - tried one after another
            continue  # this constructor wants something else
    return _with_message(kind, message)


def _readings(kind: type[Exception], message: str) -> list[list[Any]]:
    """Return what the constructor may have been given, going by the message alone."""
    if not message:
        return [[]]
    if kind is KeyError:
        try:
            return [[ast.literal_eval(message)], []]
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return []
    return [[message]]


def _with_message(kind: type[Exception], message: str) -> Exception:
    """Return an instance that has the message, whatever the constructor wants."""

    def show(_: Exception) -> str:
        return message

    def reduce(error: Exception) -> tuple[Any, ...]:
        # The class that is made here cannot be imported when it is unpickled.
        return _with_message, (kind, message), error.__dict__

    attributes = {"__str__": show, "__reduce__": reduce, "__module__": kind.__module__}
    derived = type(kind.__name__, (kind,), attributes)
    try:
        if issubclass(kind, BaseExceptionGroup):
            group: Exception = derived(message, [GenericRemoteException(message)])
            return group
        error: Exception = BaseException.__new__(derived)
        error.args = (message,)
    except Exception:
        return GenericRemoteException(f"{kind.__name__}: {message}")
    return error

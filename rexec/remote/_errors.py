"""What can go wrong with a remote function, and how its exceptions come back."""

import sys
from typing import Any

from rexec.remote.agent.output import PREFIX
from rexec.wire.packed_exceptions import GenericRemoteException, exception_from


class RemoteFunctionError(Exception):
    """Base of the errors of remote functions that are not the function's own."""


class CannotTravel(RemoteFunctionError, TypeError):
    """A function, or something that it uses, cannot be sent; the text names it and its line."""


class StateLost(RemoteFunctionError, ConnectionError):
    """The controller was restarted: what remote code had kept there is gone; functions have been sent again."""


class RemoteClosed(RemoteFunctionError):
    """The remote was closed on this side, by `close_rpc` or the end of its `with` block."""


class JobExpired(RemoteFunctionError, TimeoutError):
    """A job was ended because its deadline passed."""


def remote_exception(packed: dict[str, Any], where: str) -> Exception:
    """Return the exception that remote code raised, with its traceback as a note.

    Args:
        packed: What the controller sent.
        where: Device, for the traceback's heading.

    Returns:
        A builtin exception as itself, one of a class that was sent from here as that class; others as a subclass of
        `GenericRemoteException` that bears their name.

    """
    error: Exception
    if packed["builtin"]:
        error = exception_from(
            {"class": packed["class"], "message": packed["message"], "args": packed["args"], "traceback": []}
        )
    elif (kind := sent_class(packed["module"], packed["class"])) is not None:
        error = kind.__new__(kind)  # what __init__ takes is not known here
        error.args = tuple(packed["args"] if packed["args"] is not None else [packed["message"]])
        error.__dict__.update(packed["state"])
    else:
        error = make_named(packed["class"], packed["message"])
    error.parent_traceback = packed["frames"]  # type: ignore[attr-defined]
    for note in packed["notes"]:
        error.add_note(note)
    if packed["text"]:
        error.add_note(f"On {where}:\n{packed['text'].rstrip()}")
    return error


def without_our_frames(error: BaseException) -> BaseException:
    """Return an exception; one of remote code without the frames of this package that have passed it on."""
    return error.with_traceback(None) if hasattr(error, "parent_traceback") else error


def sent_class(module: str, name: str) -> type[Exception] | None:
    """Return the class of this process that a class of shipped code was made from; None if there is none."""
    found: Any = sys.modules.get(module.removeprefix(PREFIX)) if module.startswith(PREFIX) else None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


class NamedRemoteException(GenericRemoteException):
    """An exception of a class that only the remote side has; subclasses bear its name."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again: the subclass itself cannot be imported."""
        return make_named, (self.remote_class, str(self)), self.__dict__


def make_named(name: str, message: str) -> GenericRemoteException:
    """Return an exception whose class bears a name.

    Args:
        name: Qualified name of the class.
        message: Its text.

    """
    kind = type(
        name.rpartition(".")[2], (NamedRemoteException,), {"__qualname__": name, "__module__": "remote"}
    )
    error: GenericRemoteException = kind(message)
    error.remote_class = name
    return error

"""What can go wrong on a connection, named by what the caller can do about it.

Each error is also an instance of what a program for the reference library catches in the same situation
(docs/reference/errors.md): `because` makes it one of the system's own exception, too.
"""

import builtins
import errno
import os
import socket
import ssl
from typing import Any, Final, Self

from devicedb.errors import ExpectedError

_FACTS: Final = ("errno", "reason", "library", "verify_code", "verify_message")
"""What the exceptions of sockets and TLS say in attributes."""
_made: dict[tuple[type[Any], type[BaseException]], type[Any]] = {}


class WireError(ExpectedError):
    """Base of every error of the wire; its text names host, port and target."""

    also: type[BaseException] | None = None
    """The class of exception that a program for the reference library catches instead, where there is one."""

    @classmethod
    def because(cls, text: str, cause: BaseException) -> Self:
        """Return an error that is also an instance of its cause's class, with its `errno`.

        Args:
            text: The message.
            cause: What the system raised, or an error of ours that was made of that.

        """
        kind = cause.also if isinstance(cause, WireError) else _shareable(type(cause))
        error = cls(text) if kind is None or issubclass(cls, kind) else _both(cls, kind)(text)
        for name in _FACTS:
            if (fact := getattr(cause, name, None)) is not None:
                setattr(error, name, fact)
        return error

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # ssl.SSLError would show the tuple of arguments

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again: a class that `because` made cannot be imported."""
        facts = {name: fact for name in _FACTS if (fact := getattr(self, name, None)) is not None}
        ours = type(self).__dict__.get("base", type(self))
        return _again, (ours, self.also, self.args, {**self.__dict__, **facts})


class ConnectionFailed(WireError, ConnectionError):
    """No connection could be made: nobody listens, nobody answers, or TLS was refused.

    Attributes:
        step: What failed: "resolve", "connect", "files" (of TLS), "tls", "greeting" or "target"; else empty. The
            `__cause__` is the system's error, or the `CallTimeout` or `ConnectionBroken` of that step.

    """

    step: str = ""


class ConnectionBroken(WireError, EOFError, ConnectionError):
    """The connection was lost during a call; whether the call was carried out is unknown."""

    also = EOFError


class CallTimeout(WireError, TimeoutError):
    """No answer came in time; the connection is closed, the next call makes a new one."""

    also = TimeoutError


class IncompatibleServer(WireError):
    """The server speaks another protocol, or does not have the wanted target.

    Attributes:
        said: First bytes of a server that speaks another protocol.

    """

    said: bytes = b""


class ReentrantCall(WireError, RuntimeError):
    """A client was called by a signal handler or finalizer that had interrupted a call of the same client."""


class AmbiguousTarget(IncompatibleServer, ValueError):
    """The only target of a server was asked for, and it has none or several."""


class MessageTooLong(WireError, ValueError):
    """A message is longer than what the other side is known to accept, or than our own limit."""


class FormatError(WireError, ValueError):
    """The peer sent bytes that are no message of the protocol.

    Attributes:
        said: The first of these bytes, where they were another protocol's.

    """

    said: bytes = b""


def _shareable(kind: type[BaseException]) -> type[BaseException] | None:
    """Return the class under which programs catch an exception: a builtin one, or one of sockets and TLS."""
    for each in kind.__mro__:
        if each.__module__ in (builtins.__name__, socket.gaierror.__module__, ssl.__name__):
            return each if issubclass(each, OSError | EOFError) and each is not OSError else None
    return None


def _both(ours: type[Any], theirs: type[BaseException]) -> type[Any]:
    """Return the class of errors that are of two kinds, the same for the same two; it has our name."""
    if (ours, theirs) not in _made:
        _made[ours, theirs] = _derived(ours, theirs)
    return _made[ours, theirs]


def _derived(ours: type[Any], theirs: type[BaseException]) -> type[Any]:
    attributes = {"also": theirs, "base": ours, "__module__": ours.__module__, "__doc__": ours.__doc__}
    return type(ours.__name__, (ours, theirs), attributes)


def _again(
    ours: type[Any], theirs: type[BaseException] | None, args: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    kind = ours if theirs is None or issubclass(ours, theirs) else _both(ours, theirs)
    error: BaseException = kind(*args)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def shown_address(host: str, port: int) -> str:
    """Return a host and a port as people write them: `lab1:3250`, `[::1]:3250`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def checked_host(host: str) -> str:
    """Return the name of a host as it is, or raise what looking it up would.

    Python raises a UnicodeError for a name with an empty part (`lab..local`), one over 63 characters, or characters
    that no host has.

    Raises:
        OSError: It cannot be the name of a host.

    """
    try:
        host.encode("idna")
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} cannot be the name of a host") from None
    return host


def reason_of(error: OSError) -> str:
    """Return why a system call failed, in the system's own words."""
    if error.errno is None or isinstance(error, ssl.SSLError | socket.gaierror):
        return error.strerror or str(error)
    number = error.errno
    if isinstance(error, ConnectionRefusedError) and number == errno.EINVAL:
        number = errno.ECONNREFUSED  # as a completion port of Windows says it (error 1225)
    sockets: dict[int, str] = getattr(socket, "errorTab", {})  # Windows has no words for these in os.strerror
    return sockets.get(number, "").rstrip(".") or os.strerror(number)

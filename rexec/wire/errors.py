"""What can go wrong on a connection, named by what the caller can do about it."""

import os
import socket
import ssl


class WireError(Exception):
    """Base of every error of the wire; its text names host, port and target."""


class ConnectionFailed(WireError, ConnectionError):
    """No connection could be made: nobody listens, nobody answers, or TLS was refused."""


class ConnectionBroken(WireError, ConnectionError):
    """The connection was lost during a call; whether the call was carried out is unknown."""


class CallTimeout(WireError, TimeoutError):
    """No answer came in time; the connection is closed, the next call makes a new one."""


class IncompatibleServer(WireError):
    """The server speaks another protocol, or does not have the wanted target."""


class MessageTooLong(WireError, ValueError):
    """A message is longer than what the other side is known to accept, or than our own limit."""


class FormatError(WireError, ValueError):
    """The peer sent bytes that are no message of the protocol."""


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
    return os.strerror(error.errno)

"""Reaches a peer: looks up its name, connects, completes TLS; each step that fails has its sentence."""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rexec.wire._forks import keep_from_children
from rexec.wire._listen import tune
from rexec.wire._winsock import refused_at_once
from rexec.wire.errors import ConnectionFailed, checked_host, reason_of, shown_address
from rexec.wire.tls import SimpleSSLConfig

_IN_VAIN: Final = {
    "resolve": "could not be looked up",
    "connect": "did not accept a connection",
    "tls": "did not complete the TLS handshake",
}


class Way:
    """One attempt to reach a peer, and the time that is left for it.

    Args:
        host: Name or address.
        port: TCP port.
        seconds: Longest time for all steps.

    """

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.where = shown_address(host, port)
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(self._until - time.monotonic(), 1e-3)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Turn the system's errors of a step into `ConnectionFailed`, with the step and the cause."""
        try:
            yield
        except OSError as error:
            if isinstance(error, TimeoutError):
                text = f"{self.where} {_IN_VAIN[name]} in {self._seconds:g} s"
            elif name in ("files", "tls"):
                text = f"no TLS with {self.where}: {error}"
            else:
                text = f"cannot connect to {self.where}: {reason_of(error)}"
            failed = ConnectionFailed.because(text, error)
            failed.step = name
            raise failed from error

    def sockets(self, found: Sequence[Any]) -> Iterator[tuple[socket.socket, Any, float]]:
        """Yield a socket for each address, the address, and its share of the time."""
        for index, (family, kind, protocol, _, address) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            tune(sock)
            refused_at_once(sock, address[0])
            yield sock, address, self.left / (len(found) - index)


def telling(failures: Sequence[OSError]) -> OSError:
    """Return the most informative of the failures of several addresses."""
    for kind in (ConnectionRefusedError, TimeoutError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[-1] if failures else OSError("its name has no address")


def reach(host: str, port: int, seconds: float, ssl_config: SimpleSSLConfig | None = None) -> socket.socket:
    """Return a connected socket.

    Args:
        host: Name or address.
        port: TCP port.
        seconds: Longest time for connection and TLS handshake.
        ssl_config: TLS, if any.

    Raises:
        ConnectionFailed: Nobody listens, nobody answers, or TLS was refused.

    """
    way = Way(host, port, seconds)
    with way.step("resolve"):
        found = socket.getaddrinfo(checked_host(host), port, type=socket.SOCK_STREAM)
    with way.step("connect"):
        sock = _connected(way, found)
    keep_from_children(sock)
    return sock if ssl_config is None else secured(sock, way, ssl_config)


def _connected(way: Way, found: Sequence[Any]) -> socket.socket:
    failures: list[OSError] = []
    for sock, address, share in way.sockets(found):
        try:
            sock.settimeout(share)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failures.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise telling(failures)


def secured(sock: socket.socket, way: Way, ssl_config: SimpleSSLConfig) -> socket.socket:
    """Return a TLS socket over a connected one, which is used up.

    Raises:
        ConnectionFailed: TLS was refused, on this side or the other.

    """
    try:
        with way.step("files"):
            context = ssl_config.create_client_context()
        with way.step("tls"):
            sock.settimeout(way.left)
            sock = context.wrap_socket(sock)
    except BaseException:
        sock.close()
        raise
    keep_from_children(sock)
    return sock

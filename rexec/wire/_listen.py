"""Sockets that listen."""

import errno
import ipaddress
import logging
import socket
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from rexec.ground.keepalive import set_keepalive
from rexec.wire.errors import checked_host, reason_of
from rexec.wire.tls import PinnedContext, SimpleSSLConfig

_log = logging.getLogger(__name__)
_BACKLOG: Final = 1024
_SKIPPED: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_PORTS_TRIED: Final = 8
"""How many ports of the system's choice are tried until one is free at each address."""
_warned: list[str] = []


def listen(host: str | Sequence[str] | None, port: int, *, secured: bool) -> list[socket.socket]:
    """Return sockets that listen on every address of the hosts, all on one port.

    Args:
        host: Name or address, several of them, or None for all interfaces. A machine without IPv6 has no `::1`: it is
            left out after another address.
        port: TCP port; 0 lets the system choose.
        secured: Whether only peers with a certificate will get through; a warning is logged otherwise, where due.

    Raises:
        OSError: One of them cannot be listened on; the text names it.

    """
    hosts: Sequence[str | None] = [host] if host is None or isinstance(host, str) else list(host)
    for left in reversed(range(_PORTS_TRIED)):
        try:
            sockets = _listen_on_all(hosts, port)
        except OSError as error:
            # The system knew that the port is free at the first address only.
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
        else:
            break
    if not secured:
        warn_if_open(sockets)
    return sockets


def _listen_on_all(hosts: Sequence[str | None], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for name in hosts:
            at = port or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets += _listen_on(name, at, {one.getsockname()[0] for one in sockets})
            except OSError as error:
                if name != "::1" or not sockets or error.errno not in _SKIPPED:
                    raise
                _log.info("this machine has no ::1, thus no IPv6: listening without it")
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


@dataclass(frozen=True)
class Listening:
    """Sockets that listen, as programs look for them at an `asyncio.Server`."""

    sockets: tuple[socket.socket, ...]

    def is_serving(self) -> bool:
        """Return whether they still listen."""
        return any(one.fileno() != -1 for one in self.sockets)


class ListeningServer:
    """What programs ask of any server: where it listens."""

    addresses: Sequence[tuple[str, int]] = ()
    """Where the server listens: (address, port)."""
    server: Listening | None = None
    """The listening sockets, while the server runs; has the `sockets` of an `asyncio.Server`."""

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return self.addresses[0][1]

    def _listen(
        self, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None
    ) -> tuple[list[socket.socket], PinnedContext | None]:
        """Return listening sockets, and the context of TLS if there is one.

        Raises:
            OSError: The address cannot be listened on, or a TLS file cannot be read.

        """
        context = None if ssl_config is None else ssl_config.create_server_context()
        sockets = listen(host, port, secured=context is not None)
        self.addresses = [one.getsockname()[:2] for one in sockets]
        self.server = Listening(tuple(sockets))
        return sockets, context


def _listen_on(host: str | None, port: int, served: Container[str]) -> list[socket.socket]:
    """Return sockets at the addresses of a host that are not `served` yet: a host may have several names."""
    try:
        found = socket.getaddrinfo(
            checked_host(host) if host else None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    opened: list[socket.socket] = []
    failure: OSError | None = None
    is_served = False
    for family, _, _, _, address in dict.fromkeys(found):
        if address[0] in served:
            is_served = True
            continue
        try:
            opened.append(listener_at(family, (address[0], port, *address[2:])))
        except OSError as error:
            failure = error
            if error.errno not in _SKIPPED:
                break
        else:
            failure = None
            port = port or opened[0].getsockname()[1]
    if failure is not None and (failure.errno not in _SKIPPED or not (opened or is_served)):
        for one in opened:
            one.close()
        raise OSError(failure.errno, f"cannot listen on {host or 'any address'}:{port}: {reason_of(failure)}")
    return opened


def listener_at(family: int, address: tuple[object, ...]) -> socket.socket:
    """Return a socket that listens at one address, which no other program can take over.

    Raises:
        OSError: The address cannot be listened on.

    """
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR would let any other program take the port over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def warn_if_open(sockets: Sequence[socket.socket]) -> None:
    """Warn, once a process, of a server without TLS that other machines can reach."""
    reachable = [one.getsockname()[0] for one in sockets if not _is_loopback(one.getsockname()[0])]
    if reachable and not _warned:
        _warned.extend(reachable)
        _log.warning(
            "listening on %s without TLS: anyone who reaches this port can call every method of the server. "
            "Bind to localhost, or use --ssl with certificates made by `rexec certs`",
            ", ".join(reachable),
        )


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def tune(connection: socket.socket) -> None:
    """Set what every connection has: no delay of small messages, and keep-alive so that a dead peer is noticed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_keepalive(connection)

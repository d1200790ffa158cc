"""Sockets that listen."""

import errno
import ipaddress
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Final

from rexec.wire.errors import checked_host

_log = logging.getLogger(__name__)
_BACKLOG: Final = 1024
_SKIPPED: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_warned: list[str] = []


def listen(host: str | Sequence[str] | None, port: int, *, secured: bool) -> list[socket.socket]:
    """Return sockets that listen on every address of the hosts, all on one port.

    Args:
        host: Name or address, several of them, or None for all interfaces.
        port: TCP port; 0 lets the system choose.
        secured: Whether only peers with a certificate will get through; a warning is logged otherwise, where due.

    Raises:
        OSError: One of them cannot be listened on; the text names it.

    """
    hosts: Sequence[str | None] = [host] if host is None or isinstance(host, str) else list(host)
    sockets: list[socket.socket] = []
    try:
        for name in hosts:
            sockets += _listen_on(name, port or (sockets[0].getsockname()[1] if sockets else 0))
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    if not secured:
        warn_if_open(sockets)
    return sockets


def addresses_of(sockets: Sequence[socket.socket]) -> list[tuple[str, int]]:
    """Return where sockets listen: (address, port)."""
    return [one.getsockname()[:2] for one in sockets]


def _listen_on(host: str | None, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            checked_host(host) if host else None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    opened: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            opened.append(_one(family, (address[0], port, *address[2:])))
        except OSError as error:
            failure = error
            if error.errno not in _SKIPPED:
                break
        else:
            failure = None
            port = port or opened[0].getsockname()[1]
    if failure is not None and (failure.errno not in _SKIPPED or not opened):
        for one in opened:
            one.close()
        raise OSError(failure.errno, f"cannot listen on {host or 'any address'}:{port}: {failure.strerror}")
    return opened


def _one(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
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
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        number = getattr(socket, option, None)
        if number is not None:
            connection.setsockopt(socket.IPPROTO_TCP, number, seconds)

"""Bounds on connections and file descriptors, over all servers of a process.

A connection is *unfinished* from its acceptance until its client has chosen a target or a name, TLS included. Where
there is no room the oldest unfinished connection gives way.
"""

import itertools
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from rexec.wire._limits import Limits

_log = logging.getLogger(__name__)

_unfinished: Final[dict[socket.socket, tuple[object, Callable[[], None]]]] = {}
"""Unfinished connections by socket, oldest first: the server, and what ends it. Every operation on it is atomic."""
_was_full = False
"""Whether all descriptors below the limit were in use a while ago."""
_SECONDS_BETWEEN_WARNINGS: Final = 10.0
_KINDS: Final = 4096
_warned_at: Final[dict[str, float]] = {}
_names: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_numbers: Final = itertools.count()


def name_of(server: object) -> str:
    """Return a name that a server shares with none of the process, earlier ones included, whose `id` it may have."""
    return _names.get(server) or _names.setdefault(server, f"server {next(_numbers)}")


def seldom(kind: str, text: str, *arguments: Any) -> None:
    """Log a warning that any stranger can cause, at most once in ten seconds for each kind."""
    now = time.monotonic()
    if now - _warned_at.get(kind, -_SECONDS_BETWEEN_WARNINGS) >= _SECONDS_BETWEEN_WARNINGS:
        if len(_warned_at) > _KINDS:
            _warned_at.clear()
        _warned_at[kind] = now
        _log.warning(text, *arguments)


def descriptor_limit(limits: Limits) -> int | None:
    """Return the most descriptors of the process, connections included; None where the system has no such limit."""
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            return soft - min(limits.descriptor_reserve, soft // 4)
    return None


def _is_full(sock: socket.socket, limit: int | None) -> bool:
    """Return whether the process has no descriptor left for another connection.

    The system gives the lowest free descriptor. So a descriptor at the limit shows that all below it are in use. After
    some of these were closed, a lower descriptor shows nothing; therefore descriptors are counted for a while.
    """
    global _was_full
    if limit is None:
        return False
    if sock.fileno() >= limit:
        _was_full = True
    elif _was_full:
        try:
            count = len(os.listdir("/dev/fd"))
        except OSError:
            return False
        _was_full = count > limit - limit // 8
        return count > limit
    return sock.fileno() >= limit


def has_room(sock: socket.socket, server: object, peer: str, present: int, limits: Limits) -> bool:
    """Return whether a new connection may stay; have the oldest unfinished one give way where that makes room.

    Args:
        sock: Its socket, as accepted.
        server: Its server.
        peer: host:port of the client.
        present: Number of connections that the server has.
        limits: Limits of the server.

    """
    limit = descriptor_limit(limits)
    crowded = present >= limits.connections
    if crowded or _is_full(sock, limit):
        candidates = (one for one, (owner, _) in list(_unfinished.items()) if not crowded or owner is server)
        oldest = next(candidates, None)
        bound = f"over {limits.connections} connections" if crowded else f"over {limit} file descriptors"
        what = f"{peer} is refused" if oldest is None else "the oldest unfinished handshake is closed"
        seldom(f"{name_of(server)} {bound}", "%s: %s", bound, what)
        if oldest is None:
            return False
        gone = _unfinished.pop(oldest, None)
        if gone is not None:  # else another thread has just finished it
            gone[1]()
    return True


def unfinished(sock: socket.socket, server: object, end: Callable[[], None]) -> None:
    """Note a new connection of a server. `finished` must follow.

    Args:
        sock: Its socket.
        server: Its server.
        end: Ends the connection. Called from the thread of any server, at most once, perhaps after it has ended by
            itself.

    """
    _unfinished[sock] = (server, end)


def finished(sock: socket.socket) -> None:
    """Note that the client has chosen, or that the connection has ended."""
    _unfinished.pop(sock, None)

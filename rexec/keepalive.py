"""TCP connections whose end is noticed when the peer's machine or the network dies (TCP keep-alive)."""

import asyncio
import socket
from typing import Any

from rexec.ground.keepalive import set_keepalive

__all__ = ["async_open_connection", "create_connection", "set_keepalive"]


def create_connection(
    host: str,
    port: int,
    *args: Any,
    after_idle: int | None = None,
    interval: int | None = None,
    max_fails: int | None = None,
    **kwargs: Any,
) -> socket.socket:
    """Return a connected socket with keep-alive.

    Args:
        host: Name or address.
        port: TCP port.
        args: Further arguments of `socket.create_connection`, such as the timeout in seconds.
        after_idle: As `set_keepalive`.
        interval: As `set_keepalive`.
        max_fails: As `set_keepalive`.
        kwargs: Further arguments of `socket.create_connection`.

    Raises:
        OSError: No connection could be made.

    """
    sock = socket.create_connection((host, port), *args, **kwargs)
    try:
        set_keepalive(sock, after_idle, interval, max_fails)
    except BaseException:
        sock.close()
        raise
    return sock


async def async_open_connection(
    host: str,
    port: int,
    *args: Any,
    after_idle: int | None = None,
    interval: int | None = None,
    max_fails: int | None = None,
    **kwargs: Any,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return reader and writer of a new connection with keep-alive.

    Args:
        host: Name or address.
        port: TCP port.
        args: Further arguments of `asyncio.open_connection`.
        after_idle: As `set_keepalive`.
        interval: As `set_keepalive`.
        max_fails: As `set_keepalive`.
        kwargs: Further arguments of `asyncio.open_connection`.

    Raises:
        OSError: No connection could be made.

    """
    reader, writer = await asyncio.open_connection(host, port, *args, **kwargs)
    try:
        set_keepalive(writer.get_extra_info("socket"), after_idle, interval, max_fails)
    except BaseException:
        writer.close()
        raise
    return reader, writer

"""The way to a peer on an event loop: the steps of `reach`."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rexec.wire._forks import keep_from_children
from rexec.wire.errors import checked_host
from rexec.wire.reach import Way, telling
from rexec.wire.tls import SimpleSSLConfig

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def reach_async(
    host: str, port: int, seconds: float, ssl_config: SimpleSSLConfig | None, factory: Callable[[], P]
) -> P:
    """Return a connected protocol on the running loop.

    Args:
        host: Name or address.
        port: TCP port.
        seconds: Longest time for connection and TLS handshake.
        ssl_config: TLS, if any.
        factory: Makes the protocol.

    Raises:
        ConnectionFailed: Nobody listens, nobody answers, or TLS was refused.

    """
    loop = asyncio.get_running_loop()
    way = Way(host, port, seconds)
    with way.step("resolve"):
        async with asyncio.timeout(way.left):
            found = await loop.getaddrinfo(checked_host(host), port, type=socket.SOCK_STREAM)
    with way.step("connect"):
        sock = await _connected_async(way, found)
    keep_from_children(sock)
    try:
        with way.step("files"):
            context = None if ssl_config is None else ssl_config.create_client_context()
        with way.step("tls"):
            async with asyncio.timeout(way.left):
                _, protocol = await loop.create_connection(
                    factory, sock=sock, ssl=context, server_hostname="" if context else None
                )
    except BaseException:
        sock.close()
        raise
    return protocol


async def _connected_async(way: Way, found: Sequence[Any]) -> socket.socket:
    failures: list[OSError] = []
    for sock, address, share in way.sockets(found):
        try:
            sock.setblocking(False)
            async with asyncio.timeout(share):
                await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failures.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise telling(failures)

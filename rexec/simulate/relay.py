"""The two ways of a connection through a proxy, and its ends. Bytes pass as they came."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final

from devicedb import Endpoint
from rexec.devices.connect import ssl_config
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

CHUNK: Final = 1 << 18
"""Most bytes that are passed on at a time."""


async def open_real(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the real controller."""
    tls = ssl_config(endpoint.tls)
    if tls is None:
        return await asyncio.open_connection(endpoint.host, endpoint.port, limit=CHUNK)
    context = tls.create_client_context()
    reader, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, limit=CHUNK, ssl=context, server_hostname=""
    )
    check_peer(tls, writer)
    return reader, writer


async def close(*writers: asyncio.StreamWriter) -> None:
    """Close connections, and give them a moment to say so."""
    for writer in writers:
        writer.close()
    for writer in writers:
        try:
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            logger.debug("closing a connection: %s", error)


def check_peer(tls: SimpleSSLConfig, writer: asyncio.StreamWriter) -> None:
    """Refuse a peer whose certificate is not one of those that are trusted; ssl.SSLError, and the connection closed."""
    socket_like = writer.get_extra_info("ssl_object")
    try:
        tls.check_peer(socket_like.getpeercert(binary_form=True) if socket_like is not None else None)
    except ssl.SSLError:
        writer.close()
        raise


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes], None]
) -> None:
    """Pass bytes on until their end; what listens hears them before the other side does."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # one side has gone: the connection is over
        while data := await reader.read(CHUNK):
            heard(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

"""Forwarding between the two connections of a proxy."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final

from devicedb import Endpoint
from rexec.devices.connect import ssl_config

logger = logging.getLogger(__name__)

CHUNK: Final = 1 << 18
"""Maximum number of bytes forwarded at once."""


async def open_real(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the real controller."""
    tls = ssl_config(endpoint.tls)
    if tls is None:
        return await asyncio.open_connection(endpoint.host, endpoint.port, limit=CHUNK)
    context = tls.create_client_context()
    return await asyncio.open_connection(
        endpoint.host, endpoint.port, limit=CHUNK, ssl=context, server_hostname=""
    )


async def close(*writers: asyncio.StreamWriter) -> None:
    """Close connections, waiting at most a second for each."""
    for writer in writers:
        writer.close()
    for writer in writers:
        try:
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            logger.debug("closing a connection: %s", error)


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes], None]
) -> None:
    """Forward bytes until the end of file. `heard` gets them before the other side does."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # one side has closed the connection
        while data := await reader.read(CHUNK):
            heard(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

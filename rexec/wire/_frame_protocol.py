"""A connection on an event loop that receives messages without copying them."""

import asyncio

from rexec.wire._framing import Frame, FrameReader
from rexec.wire.errors import ConnectionBroken, WireError


class FrameProtocol(asyncio.BufferedProtocol):
    """Passes each message to `frame_received`. The first error ends the connection.

    Args:
        limit: Longest message in bytes; None for any length.

    Attributes:
        failure: Why the connection has ended; None while it is open.

    """

    def __init__(self, limit: int | None = None) -> None:
        self.reader = FrameReader(limit)
        self.transport: asyncio.Transport | None = None
        self.failure: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        """Done at the end of the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            frame = self.reader.take(nbytes)
            while frame is not None and self.failure is None:
                self.frame_received(frame)
                frame = self.reader.take()
        except WireError as error:
            self.fail(error)

    def frame_received(self, frame: Frame) -> None:
        """Take a message; a WireError ends the connection."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        self.fail(ConnectionBroken("the other side closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(ConnectionBroken.because(f"connection lost: {exc or 'closed'}", exc or EOFError()))
        if not self.closed.done():
            self.closed.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the connection. Only the first error is kept."""
        if self.failure is None:
            self.failure = error
        if self.transport is not None and not self.loop.is_closed():
            self.transport.abort()

    async def wait_closed(self) -> None:
        """Wait for the end of the connection; return at once on another loop, as in a child process."""
        if self.loop is asyncio.get_running_loop():
            await asyncio.wait([self.closed])

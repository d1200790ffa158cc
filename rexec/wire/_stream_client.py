"""The receiving end of sync_struct and broadcast: lines of any length, in either version of PYON."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from rexec.wire._frame_protocol import FrameProtocol
from rexec.wire._framing import Frame
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_v1_parser import parse
from rexec.wire._reach_async import reach_async
from rexec.wire.errors import ConnectionBroken, WireError
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)


class LineProtocol(FrameProtocol):
    """Decodes each line that arrives and hands it on.

    Args:
        received: Called with each value; an exception that it raises ends the connection.
        lost: Called once, when the connection is lost other than by `close`.
        limit: Longest line in bytes; None for any length.

    """

    def __init__(
        self, received: Callable[[Any], None], lost: Callable[[], None], limit: int | None = None
    ) -> None:
        super().__init__(limit)
        self._received = received
        self._lost = lost
        self._old = False
        self._closing = False
        # A program ends the connection by cancelling `receive_task`.
        self.closed.add_done_callback(self._given_up)

    def _given_up(self, closed: "asyncio.Future[None]") -> None:
        if closed.cancelled():
            self.fail(ConnectionBroken("closed by this side"))

    def frame_received(self, frame: Frame) -> None:
        try:
            self._received(self._decoded(frame.line))
        except (TypeError, ValueError, LookupError, WireError) as error:
            _log.error("a message cannot be applied, the connection is closed: %s", error)
            self.fail(error)
        except Exception as error:
            _log.exception("internal error while applying a message: the connection is closed")
            self.fail(error)

    def _decoded(self, line: bytes | bytearray) -> Any:
        if not self._old:
            try:
                return decode_line(line)
            except ValueError:
                # Not JSON: a publisher of the older kind. What is both has one meaning in both.
                value = parse(line)
                self._old = True
                return value
        return parse(line)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing and not self.closed.cancelled():
            self._lost()
        super().connection_lost(exc)

    async def close(self) -> None:
        """Close the connection."""
        self._closing = True
        self.fail(ConnectionBroken("closed by this side"))
        await self.wait_closed()

    def writer(self) -> asyncio.StreamWriter | None:
        """Return the sending half, in the form of asyncio's streams."""
        transport = self.transport
        return None if transport is None else asyncio.StreamWriter(transport, self, None, self.loop)

    # What asyncio.StreamWriter asks of its protocol.

    async def _drain_helper(self) -> None:
        """Two lines are all that is ever sent."""

    def _get_close_waiter(self, writer: asyncio.StreamWriter) -> "asyncio.Future[None]":
        return self.closed


class Follower:
    """What subscribers and receivers have in common: a connection, and callbacks.

    Args:
        what: What is followed, for errors.
        notify_cb: Called with each value; a function or several.
        disconnect_cb: Called when the connection is lost.
        limit: Longest line in bytes; None for any length.

    """

    def __init__(
        self,
        what: str,
        notify_cb: Callable[[Any], Any] | Iterable[Callable[[Any], Any]],
        disconnect_cb: Callable[[], Any] | None,
        limit: int | None = None,
    ) -> None:
        self._limit = limit
        self.notify_cbs = [notify_cb] if callable(notify_cb) else list(notify_cb)
        self.disconnect_cb = disconnect_cb
        self._what = what
        self._protocol: LineProtocol | None = None
        self.receive_task: asyncio.Future[None] | None = None
        """Done at the end of the connection: await it to learn of the end. None before `connect`."""
        self.writer: asyncio.StreamWriter | None = None
        """The sending half of the connection, for its facts. None before `connect`."""

    async def _follow(
        self,
        host: str,
        port: int,
        ssl_config: SimpleSSLConfig | None,
        seconds: float,
        first: bytes,
        received: Callable[[Any], None],
        before: Callable[[], Any] | None = None,
    ) -> None:
        """Connect, call `before`, and ask for what is followed."""
        protocol = await reach_async(
            host, port, seconds, ssl_config, lambda: LineProtocol(received, self._lost, self._limit)
        )
        if before is not None:
            before()
        self._protocol = protocol
        self.receive_task = protocol.closed
        self.writer = protocol.writer()
        protocol.write(first)

    @property
    def failure(self) -> Exception | None:
        """Why the connection has ended; None while it is open, and before `connect`."""
        return None if self._protocol is None else self._protocol.failure

    def has_failed(self) -> bool:
        """Return whether the connection has ended because a message could not be read or applied."""
        return self.failure is not None and not isinstance(self.failure, ConnectionBroken)

    async def close(self) -> None:
        """Close the connection."""
        if self._protocol is not None:
            await self._protocol.close()

    def _notify(self, value: Any) -> None:
        for callback in self.notify_cbs:
            try:
                callback(value)
            except Exception:
                _log.exception("a callback of the %s failed", self._what)

    def _lost(self) -> None:
        if self.disconnect_cb is not None:
            self.disconnect_cb()

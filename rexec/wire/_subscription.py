"""One subscriber of a stream: what it says first, and the lines that it still has to get."""

import asyncio
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from rexec.wire._admission import finished, name_of, seldom
from rexec.wire._frame_protocol import FrameProtocol
from rexec.wire._framing import Frame
from rexec.wire._line_queue import WHOLE, Line, LineQueue
from rexec.wire.errors import CallTimeout, ConnectionBroken, FormatError, MessageTooLong
from rexec.wire.tls import PinnedContext

if TYPE_CHECKING:
    from rexec.wire._stream_server import StreamServer

PIECE: Final = 1 << 18
"""Most bytes that are given to a transport at once; it copies what it cannot send."""
_TURN: Final = 1 << 20
"""Bytes that the subscribers of a name get in one turn of the event loop, each at least a piece."""
_REFILLS: Final = 20
"""Values that are encoded anew for a subscriber in a turn."""


class Subscription(FrameProtocol):
    """One subscriber: a connection, and the lines that it still has to get.

    Args:
        server: The server.
        sock: Its socket.
        peer: Its host:port.

    """

    def __init__(self, server: "StreamServer", sock: socket.socket, peer: str) -> None:
        super().__init__(server.limits.handshake_line)
        self.name = ""
        self.peer = peer
        self.lines = LineQueue()
        self._rest: memoryview | None = None
        """What is still to be sent of a long line."""
        self._left = 0
        """Bytes that it may get in this turn of the event loop."""
        self.dropped = 0
        """Lines that the subscriber was too slow for."""
        self.stale: dict[Any, None] = {}
        """What has to be sent anew because lines about it were dropped."""
        self.awaits_snapshot = False
        """Whether what has to be sent anew is being encoded."""
        self._server = server
        self._sock = sock
        self._trust: tuple[PinnedContext, bytes | None] | None = None
        """Over TLS: what says whether the certificate is still trusted, and the certificate."""
        self._has_banner = False
        self._writable = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and isinstance(tls.context, PinnedContext):
            self._trust = tls.context, tls.getpeercert(binary_form=True)
        late = CallTimeout("it did not say in time what to follow")
        self._timer = asyncio.get_running_loop().call_later(
            self._server.limits.handshake_timeout, self.fail, late
        )

    def frame_received(self, frame: Frame) -> None:
        line = bytes(frame.line)
        if self.name:
            raise FormatError("a subscriber has nothing more to say")
        if not self._has_banner:
            if line + b"\n" != self._server.banner:
                raise FormatError(f"unknown banner: {line[:60]!r}")
            self._has_banner = True
            return
        name = line.decode("ascii", "replace")
        if not self._server.has(name):
            raise FormatError(f"there is no {name[:60]!r} to follow")
        self._end_timer()
        finished(self._sock)
        self.name = name
        self._server.subscribed(self)

    def begin(self, first: Iterable[Line]) -> None:
        """Send what a new subscriber gets first, and from now on what all get."""
        if self.failure is None:
            self._server.flush(self.name)  # what was sent before is not for a new subscriber
            self._server.followers(self.name).append(self)
            self.put_first(first)

    def put_first(self, lines: Iterable[Line], part: Any = WHOLE) -> None:
        """Add lines that tell what the structure, or a part of it, is."""
        for line in lines:
            self.put(line, part)

    def fail(self, error: Exception) -> None:
        if self.failure is None and isinstance(error, FormatError | MessageTooLong):
            seldom(
                f"{name_of(self._server)} {self.peer.rpartition(':')[0]}",
                "%s: %s: connection closed",
                self.peer,
                error,
            )
        super().fail(error)
        self._end_timer()
        self.lines.clear()
        self._rest = None
        self._server.forget(self)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.left(self._sock, self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    def put(self, line: Line, part: Any = WHOLE) -> None:
        """Add a line about a part of what is followed; it is sent once the loop runs."""
        if not self.lines:
            asyncio.get_running_loop().call_soon(self._pump)
        self.lines.put(line, part)

    def drop(self, part: Any = WHOLE) -> None:
        """Drop what was not sent yet about a part, or everything, and count it."""
        self.dropped += self.lines.clear() if part is WHOLE else self.lines.drop(part)

    def write_now(self, lines: bytes) -> bool:
        """Send lines, unless others are to be sent first; return whether that was done."""
        transport = self._open_transport
        if transport is None or self.lines or self.stale or self._rest is not None:
            return False
        transport.write(lines)
        return True

    @property
    def _open_transport(self) -> asyncio.Transport | None:
        """The transport, if it takes more at the moment."""
        if self._trust is not None and not self._trust[0].still_trusts(self._trust[1]):
            self.fail(ConnectionBroken("its certificate was revoked"))
        return self.transport if self._writable and self.failure is None else None

    def _pump(self) -> None:
        """Send lines as long as the subscriber takes them, for one turn."""
        self._left = max(_TURN // max(len(self._server.subscriptions(self.name)), 1), PIECE)
        while (transport := self._open_transport) is not None and (piece := self._next_piece()):
            transport.write(piece)
            self._left -= len(piece)
            if self._left <= 0:
                self.loop.call_soon(self._pump)
                return

    def _next_piece(self) -> bytes | memoryview:
        """Return part of a long line, or several short ones; nothing if nothing waits."""
        short: list[Line] = []
        size = refills = 0
        while self._rest is None and size < PIECE and refills < _REFILLS:
            if not self.lines:
                self._server.refill(self)
                self._left, refills = 0, refills + 1
            if not self.lines:
                break
            line = self.lines.take()
            if len(line) > PIECE:
                self._rest = memoryview(line)
            else:
                short.append(line)
                size += len(line)
        if short or self._rest is None:
            return b"".join(short)
        piece, rest = self._rest[:PIECE], self._rest[PIECE:]
        self._rest = rest or None
        return piece

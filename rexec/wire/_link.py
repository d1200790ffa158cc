"""One connection of a server: its socket, what was received, what is to be sent. Non-blocking, no threads.

A link is used by one thread at a time: by the I/O thread, or, while a call runs, by the thread that runs calls.
"""

import collections
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

from rexec.wire._framing import Frame, FrameReader
from rexec.wire._pieces import Piece, batches, send_some
from rexec.wire._protocol import Codec
from rexec.wire._spin import Spin

_RECEPTIONS_AT_ONCE: Final = 16
_PATIENCE: Final = 0.05
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket raises that has nothing to give, or takes nothing, at the moment."""
READ: Final = 1
WRITE: Final = 2


class Link:
    """A connection of a server.

    Args:
        sock: Non-blocking socket; a TLS one has its handshake still before it.
        peer: host:port of the other side.
        limit: Longest line before a target is chosen, in bytes.
        deadline: When the handshake must be complete (`time.monotonic`).

    """

    def __init__(self, sock: socket.socket, peer: str, limit: int, deadline: float) -> None:
        self.sock = sock
        self.peer = peer
        self.reader = FrameReader(limit)
        self.deadline: float | None = deadline
        self._secured = isinstance(sock, ssl.SSLSocket)
        self.stage = "tls" if self._secured else "banner"
        self.codec = Codec()
        self.target: Any = None
        self.target_name = ""
        self.request: Any = None
        """What was asked and waits for its turn: a message, decoded or not."""
        self.outgoing: collections.deque[memoryview] = collections.deque()
        self.closing = False
        """Close once everything is sent."""
        self.closed = False
        self.interest = 0
        """What the I/O thread's selector watches for."""
        self.answered_at = 0.0
        """When the last answer was sent (`time.monotonic`)."""
        self.tight = False
        """Whether the client sends its next call right after it has an answer."""
        self._spin: Spin | None = None

    def handshake_tls(self) -> int:
        """Take the next step of the TLS handshake; return what to wait for, 0 when done.

        Raises:
            OSError: It failed.

        """
        if not isinstance(self.sock, ssl.SSLSocket):
            return 0
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        self.stage = "banner"
        return 0

    def receive(self) -> Frame | None:
        """Take what has arrived; return a complete message if there is one, None if not yet.

        Raises:
            EOFError: The other side has closed.
            OSError: The connection is broken.
            WireError: What arrived is no message.

        """
        reader = self.reader
        frame = None if reader.idle else reader.take()
        left = _RECEPTIONS_AT_ONCE
        while frame is None and left:
            space = reader.space()
            try:
                count = self.sock.recv_into(space)
            except _NOT_NOW:
                return None
            if count == 0:
                raise EOFError
            frame = reader.take(count)
            if not self._secured:
                # Others have their turn. Less than there was space for: that was all, asking again would only tell so.
                # Of TLS the selector does not see what is decrypted already, so that all of it is taken.
                left = left - 1 if count == len(space) else 0
        return frame

    def receive_soon(self, milliseconds: int, until: float) -> Frame | None:
        """Return the next message if it begins to arrive within a moment, and goes on arriving.

        Args:
            milliseconds: Longest silence.
            until: When to stop, whatever arrives (`time.monotonic`).

        Raises:
            EOFError: The other side has closed.
            OSError: The connection is broken.
            WireError: What arrived is no message.

        """
        if self._spin is None:
            if not hasattr(select, "poll") or self._secured:
                return None
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)  # type: ignore[attr-defined, unused-ignore]
            self._spin = Spin(poll)
        came = self._spin.awake() or self._spin.asleep(milliseconds)
        while came:
            frame = self.receive()
            if frame is not None or time.monotonic() > until:
                return frame
            came = self._spin.asleep(milliseconds)
        return None

    def send(self, pieces: Sequence[Piece], *, patience: float = _PATIENCE) -> bool:
        """Send as much as the other side takes; return whether that was all.

        What is left is copied into `outgoing`, since the caller may change its arrays once this returns.

        Args:
            pieces: Bytes to send.
            patience: Longest time without progress, in seconds, to wait for the other side to take more.

        Raises:
            OSError: The connection is broken.

        """
        first = pieces[0]
        if len(pieces) == 1 and isinstance(first, bytes):  # the usual case, most often taken whole
            try:
                sent = self.sock.send(first)
            except _NOT_NOW:
                sent = 0
            if sent == len(first):
                return True
            pieces = [memoryview(first)[sent:]]
        waiting = batches(pieces)
        for batch in waiting:
            rest = collections.deque(batch)
            while rest:
                if not self._step(rest) and not self._wait_writable(patience):
                    for left in (rest, *waiting):
                        self.outgoing.extend(memoryview(bytes(view)) for view in left)
                    return False
        return True

    def flush(self) -> bool:
        """Send of `outgoing` what the other side takes; return whether that was all.

        Raises:
            OSError: The connection is broken.

        """
        while self.outgoing:
            if not self._step(self.outgoing):
                return False
        return True

    def _step(self, rest: collections.deque[memoryview]) -> bool:
        try:
            send_some(self.sock, rest, secured=self._secured)
        except _NOT_NOW:
            return False
        return True

    def _wait_writable(self, patience: float) -> bool:
        if patience <= 0:
            return False
        if not hasattr(select, "poll"):
            return bool(select.select([], [self.sock], [], patience)[1])
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)  # type: ignore[attr-defined, unused-ignore]
        return bool(poll.poll(patience * 1000))

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self.outgoing.clear()
        self.sock.close()

    def expired(self) -> bool:
        """Whether the handshake took too long."""
        return self.deadline is not None and time.monotonic() > self.deadline

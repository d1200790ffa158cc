"""One connection of a server: its socket, what was received, what is still to be sent. Non-blocking, no threads.

It is used by one thread at a time: by the I/O thread, or, while a call runs, by the thread that runs calls.
"""

import collections
import select
import socket
import ssl
import time
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from rexec.access.guard import AccessGuard
from rexec.access.identity import SAYS_NOTHING, Identity, identity_of
from rexec.access.rights import DeviceRights, Right
from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import ServerHandshake
from rexec.wire._pieces import Piece, batches, send_some
from rexec.wire._protocol import Codec
from rexec.wire._spin import Spin
from rexec.wire.tls import PinnedContext

_RECEPTIONS_AT_ONCE: Final = 16
_PATIENCE: Final = 0.05
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Exceptions of a socket that would have to wait."""
READ: Final = 1
WRITE: Final = 2


class ServerConnection:
    """A connection of a server.

    Args:
        sock: Non-blocking socket, of TLS before its handshake.
        peer: host:port of the other side.
        reader: Cuts what arrives into messages.
        handshake: Takes them until a target is chosen.
        deadline: When that must be (`time.monotonic`).

    """

    def __init__(
        self, sock: socket.socket, peer: str, reader: FrameReader, handshake: ServerHandshake, deadline: float
    ) -> None:
        self.sock = sock
        self.peer = peer
        self.reader = reader
        self.handshake: ServerHandshake | None = handshake
        """None once a target is chosen."""
        self.deadline = deadline
        self._secured = isinstance(sock, ssl.SSLSocket)
        self._secure = not self._secured
        """Whether the TLS handshake is over, or not needed."""
        self._certificate: bytes | None = None
        self.codec = Codec()
        self.target: Any = None
        self.guard: AccessGuard | None = None
        """What admits its requests; None: nothing is restricted."""
        self.granted: tuple[DeviceRights, Right] | None = None
        """The rights that were looked up last, and what they grant the client."""
        self.was_refused = False
        """Whether its last request was refused, which has a record of its own."""
        self.needed: dict[str, Right] = {}
        """The right that each method takes, by its name."""
        self.reference: Final = weakref.ref(self)
        """A weak reference, which each call sets in its context; made once, because a small call would notice it."""
        self.request_size = 0
        """Bytes of the last request."""
        self.target_name = ""
        self.lease_holder = ""
        """Id of the process whose leases it keeps."""
        self.introduction = SAYS_NOTHING
        self.since = 0.0
        """When the target was chosen, in seconds since the epoch."""
        self.request: Any = None
        """The request that waits in the queue of calls: a message, decoded or not; or the `Choice` of a target."""
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

    @cached_property
    def identity(self) -> Identity:
        """Who the client is; looked up when first asked for, because that may read a table of the kernel."""
        return identity_of(self.sock, self.introduction)

    def handshake_tls(self) -> int:
        """Take the next step of the TLS handshake; return what to wait for, 0 when done.

        Raises:
            OSError: It failed.

        """
        if self._secure or not isinstance(self.sock, ssl.SSLSocket):
            return 0
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        self._secure = True
        self._certificate = self.sock.getpeercert(binary_form=True)
        return 0

    def is_trusted(self) -> bool:
        """Return whether the client's certificate has not been revoked since; True without TLS."""
        if not self._secured or not isinstance(self.sock, ssl.SSLSocket):
            return True
        context = self.sock.context
        return not isinstance(context, PinnedContext) or context.still_trusts(self._certificate)

    def receive(self) -> Frame | None:
        """Receive what has arrived; return a complete message, None if there is none yet.

        Raises:
            EOFError: The other side has closed.
            OSError: The connection is broken.
            WireError: What arrived is no message.

        """
        if self._secured and not self.is_trusted():
            raise EOFError("its certificate was revoked")
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
                # Read at most 16 times, to be fair to other connections. A short read means that the socket is empty.
                # TLS is read to its end, because the selector does not see what is decrypted already.
                left = left - 1 if count == len(space) else 0
        return frame

    def is_gone(self) -> bool:
        """Whether the other side has closed, as far as the system tells without taking what has arrived."""
        if hasattr(select, "POLLRDHUP"):
            poll = select.poll()  # type: ignore[attr-defined, unused-ignore]
            poll.register(self.sock, select.POLLRDHUP)
            return bool(poll.poll(0))
        if self._secured:
            return False  # what has arrived is encrypted
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except _NOT_NOW:
            return False
        except OSError:
            return True

    def receive_soon(self, milliseconds: int, until: float) -> Frame | None:
        """Return the next message if it begins to arrive within a moment and keeps arriving.

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
        # The usual case: saves 13 % of a small call.
        if len(pieces) == 1 and isinstance(first, bytes) and len(first) <= MOST_AT_ONCE:
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
        self.closed = True
        self.outgoing.clear()
        self.sock.close()

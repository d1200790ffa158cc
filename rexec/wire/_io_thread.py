"""The thread that serves a server's sockets: it accepts, shakes hands, receives requests, and sends what is left.

It runs no method of a driver except those marked with `while_busy`; calls are handed to the owner's loop. So a
handshake is answered at once whatever the driver does (docs/decisions/0010-*.md).
"""

import collections
import itertools
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from rexec.wire._admission import finished, has_room, name_of, seldom, unfinished
from rexec.wire._forks import keep_from_children
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import ServerHandshake
from rexec.wire._limits import Limits
from rexec.wire._listen import tune
from rexec.wire._server_connection import READ, WRITE, ServerConnection
from rexec.wire._winsock import PollSelector
from rexec.wire.errors import WireError

_log = logging.getLogger(__name__)
_FLUSH_TIME: Final = 1.0
_ABORT_TIME: Final = 5.0
"""Longest wait for a method marked with `while_busy`, which runs in this thread."""
_ACCEPT_PAUSE: Final = 0.5
_EVENTS: Final = {READ: selectors.EVENT_READ, WRITE: selectors.EVENT_WRITE}


class Service(Protocol):
    """What the I/O thread does with connections and messages."""

    def handshake(self, reader: FrameReader) -> ServerHandshake:
        """Return the handshake of a new connection."""

    def frame_received(self, connection: ServerConnection, frame: Frame) -> bool:
        """Handle a message; return whether the connection may go on reading (else it belongs to the owner's loop)."""


class IOThread:
    """Owns the sockets of one server.

    Args:
        listeners: Listening sockets.
        service: Handles messages.
        limits: Limits on what clients use.
        context: TLS, or None.
        closed: Called, in this thread, when it ends.

    """

    def __init__(
        self,
        listeners: list[socket.socket],
        service: Service,
        limits: Limits,
        context: ssl.SSLContext | None,
        closed: Callable[[], None],
    ) -> None:
        self.listeners = listeners
        self._service = service
        self._limits = limits
        self._tls = context
        self._closed = closed
        self._selector = PollSelector()
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        for sock in (*listeners, self._wake_read, self._wake_write):
            keep_from_children(sock)
        self._connections: dict[ServerConnection, None] = {}
        self._shaking: dict[ServerConnection, None] = {}
        self._stop_at: float | None = None
        self._accept_again: float | None = None
        self._thread = threading.Thread(target=self._run, name="rexec-wire-io", daemon=True)

    def start(self) -> None:
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)
        self._accepting(True)
        self._thread.start()

    def give_back(self, connection: ServerConnection) -> None:
        """Let the thread go on with a connection whose call is answered. From any thread."""
        self._command(lambda: self._resume(connection))

    def stop(self) -> None:
        """End the thread once all answers are sent, after a second at most. From any thread."""
        self._command(self._begin_stop)

    def abort(self) -> None:
        """End the thread and close all sockets at once, unsent answers included. From any thread."""
        self._command(self._begin_abort)
        if not self.is_current():
            self._thread.join(_ABORT_TIME)

    def join(self) -> None:
        self._thread.join()

    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def _command(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        try:
            self._wake_write.send(b"\0")
        except BlockingIOError:
            return  # it is awake already: its inbox of wake-ups is full
        except OSError:
            _log.debug("the I/O thread has ended already")

    def _run(self) -> None:
        try:
            while not self._finished():
                self._handle_events()
                while self._commands:
                    self._commands.popleft()()
                self._expire()
        except Exception:
            _log.exception("internal error in the I/O thread of a server")
        finally:
            for connection in list(self._connections):
                self.drop(connection)
            for listener in self.listeners:
                listener.close()
            self._selector.close()
            self._wake_read.close()
            self._wake_write.close()
            self._closed()

    def _handle_events(self) -> None:
        # A function of its own: its variables would keep a closed connection until the next event.
        for key, _ in self._selector.select(self._timeout()):
            key.data()

    def _drain_wake(self) -> None:
        try:
            self._wake_read.recv(4096)
        except BlockingIOError:
            return

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [connection.deadline for connection in itertools.islice(self._shaking, 1)]
        times += [t for t in (self._stop_at, self._accept_again) if t is not None]
        return max(min(times) - now, 0.0) if times else None

    def _expire(self) -> None:
        while (oldest := next(iter(self._shaking), None)) is not None and time.monotonic() > oldest.deadline:
            _log.info(
                "%s did not choose a target in %g s: closed", oldest.peer, self._limits.handshake_timeout
            )
            self.drop(oldest)
        if self._accept_again is not None and time.monotonic() >= self._accept_again:
            self._accepting(True)

    def _begin_stop(self) -> None:
        self._accepting(False)
        for listener in self.listeners:
            listener.close()
        self._stop_at = time.monotonic() + _FLUSH_TIME

    def _begin_abort(self) -> None:
        self._begin_stop()
        self._stop_at = time.monotonic()

    def _finished(self) -> bool:
        if self._stop_at is None:
            return False
        return time.monotonic() >= self._stop_at or not any(
            connection.outgoing for connection in self._connections
        )

    def _accepting(self, wanted: bool) -> None:
        self._accept_again = None
        for listener in self.listeners:
            registered = listener.fileno() in self._selector.get_map()
            if wanted and not registered:
                self._selector.register(
                    listener, selectors.EVENT_READ, lambda one=listener: self._accept(one)
                )
            elif registered and not wanted:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            # Out of file descriptors, most likely: waiting clients stay in the system's queue.
            _log.warning("cannot accept connections: %s; trying again in %g s", error, _ACCEPT_PAUSE)
            self._accepting(False)
            self._accept_again = time.monotonic() + _ACCEPT_PAUSE
            return
        peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
        if not has_room(sock, self, peer, len(self._connections), self._limits):
            sock.close()
            return
        try:
            tune(sock)
            sock.setblocking(False)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            keep_from_children(sock)
        except OSError as error:
            _log.info("%s: %s", peer, error)
            sock.close()
            return
        reader = FrameReader(self._limits.handshake_line)
        deadline = time.monotonic() + self._limits.handshake_timeout
        connection = ServerConnection(sock, peer, reader, self._service.handshake(reader), deadline)
        self._connections[connection] = None
        self._shaking[connection] = None
        # Its own thread ends it: on Windows, no shutdown from here would wake one that waits for data.
        unfinished(sock, self, partial(self._command, partial(self._give_way, connection)))
        self._watch(connection, READ)

    def connections(self) -> list[ServerConnection]:
        """Return the connections, the oldest first. From any thread."""
        return list(self._connections)

    def settled(self, connection: ServerConnection) -> None:
        """Note that a connection's handshake is complete."""
        connection.handshake = None
        connection.reader.limit = self._limits.line
        self._shaking.pop(connection, None)
        finished(connection.sock)

    def drop(self, connection: ServerConnection) -> None:
        self._watch(connection, 0)
        self._connections.pop(connection, None)
        self._shaking.pop(connection, None)
        finished(connection.sock)
        connection.close()

    def _give_way(self, connection: ServerConnection) -> None:
        if connection in self._shaking:
            self.drop(connection)

    def _watch(self, connection: ServerConnection, interest: int) -> None:
        if interest == connection.interest:
            return
        if interest == 0:
            self._selector.unregister(connection.sock)
        elif connection.interest == 0:
            self._selector.register(connection.sock, _EVENTS[interest], lambda: self._ready(connection))
        else:
            self._selector.modify(connection.sock, _EVENTS[interest], lambda: self._ready(connection))
        connection.interest = interest

    def _resume(self, connection: ServerConnection) -> None:
        if connection.closed or connection not in self._connections:
            self._connections.pop(connection, None)
            return
        self._ready(connection)

    def _ready(self, connection: ServerConnection) -> None:
        """Go on with a connection as far as possible without waiting."""
        if connection.closed:
            return
        try:
            self._progress(connection)
        except EOFError:
            self.drop(connection)
        except (OSError, WireError) as error:
            if isinstance(error, ssl.SSLError | WireError):
                host = connection.peer.rpartition(":")[0]
                seldom(f"{name_of(self)} {host}", "%s: %s: connection closed", connection.peer, error)
            self.drop(connection)
        except Exception:
            _log.exception("internal error while serving %s: connection closed", connection.peer)
            self.drop(connection)

    def _progress(self, connection: ServerConnection) -> None:
        wanted = connection.handshake_tls()
        if wanted:
            self._watch(connection, wanted)
            return
        while True:
            if not connection.flush():
                self._watch(connection, WRITE)
                return
            if connection.closing:
                raise EOFError
            frame = connection.receive()
            if frame is None:
                self._watch(connection, READ)
                return
            if not self._service.frame_received(connection, frame):
                self._watch(connection, 0)
                return

"""The thread that serves a server's sockets: it accepts, shakes hands, receives requests, and sends what is left.

It runs no method of a driver except those marked with `while_busy`; calls are handed to the owner's loop. So a
handshake is answered at once whatever the driver does (docs/decisions/0010-*.md).
"""

import collections
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from rexec.wire._framing import Frame
from rexec.wire._limits import Limits
from rexec.wire._link import READ, WRITE, Link
from rexec.wire._listen import tune
from rexec.wire.errors import WireError
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)
_FLUSH_TIME: Final = 1.0
_ABORT_TIME: Final = 5.0
"""A method marked with `while_busy` may run in this thread: nobody waits for it any longer."""
_ACCEPT_PAUSE: Final = 0.5
_EVENTS: Final = {READ: selectors.EVENT_READ, WRITE: selectors.EVENT_WRITE}


class Service(Protocol):
    """What the I/O thread does with messages."""

    def frame_received(self, link: Link, frame: Frame) -> bool:
        """Handle a message; return whether the link may go on reading (else it belongs to the owner's loop)."""


class IOThread:
    """Owns the sockets of one server.

    Args:
        listeners: Listening sockets.
        service: Handles messages.
        limits: What a client can make the server hold.
        ssl_config: TLS, or None.
        closed: Called, in this thread, when it ends.

    """

    def __init__(
        self,
        listeners: list[socket.socket],
        service: Service,
        limits: Limits,
        ssl_config: SimpleSSLConfig | None,
        closed: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._service = service
        self._limits = limits
        self._tls = None if ssl_config is None else (ssl_config.create_server_context(), ssl_config)
        self._closed = closed
        self._selector = selectors.DefaultSelector()
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._links: dict[Link, None] = {}
        self._shaking: dict[Link, None] = {}
        self._stop_at: float | None = None
        self._accept_again: float | None = None
        self._thread = threading.Thread(target=self._run, name="rexec-wire-io", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)
        self._accepting(True)
        self._thread.start()

    def give_back(self, link: Link) -> None:
        """Let the thread go on with a link whose call is answered. From any thread."""
        self._command(lambda: self._resume(link))

    def stop(self) -> None:
        """End the thread once what is left has been sent, within a second. From any thread."""
        self._command(self._begin_stop)

    def abort(self) -> None:
        """End the thread and close all sockets, whatever is left: they are closed at the return. For any thread."""
        self._command(self._begin_abort)
        if not self.is_current():
            self._thread.join(_ABORT_TIME)

    def join(self) -> None:
        """Wait for the end of the thread."""
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
                for key, _ in self._selector.select(self._timeout()):
                    key.data()
                while self._commands:
                    self._commands.popleft()()
                self._expire()
        except Exception:
            _log.exception("internal error in the I/O thread of a server")
        finally:
            for link in list(self._links):
                self.drop(link)
            for listener in self._listeners:
                listener.close()
            self._selector.close()
            self._wake_read.close()
            self._wake_write.close()
            self._closed()

    def _drain_wake(self) -> None:
        try:
            self._wake_read.recv(4096)
        except BlockingIOError:
            return

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [link.deadline for link in self._oldest() if link.deadline is not None]
        times += [t for t in (self._stop_at, self._accept_again) if t is not None]
        return max(min(times) - now, 0.0) if times else None

    def _oldest(self) -> list[Link]:
        for link in self._shaking:
            return [link]
        return []

    def _expire(self) -> None:
        while (oldest := self._oldest()) and oldest[0].expired():
            _log.info(
                "%s did not choose a target in %g s: closed", oldest[0].peer, self._limits.handshake_timeout
            )
            self.drop(oldest[0])
        if self._accept_again is not None and time.monotonic() >= self._accept_again:
            self._accepting(True)

    def _begin_stop(self) -> None:
        self._accepting(False)
        for listener in self._listeners:
            listener.close()
        self._stop_at = time.monotonic() + _FLUSH_TIME

    def _begin_abort(self) -> None:
        self._begin_stop()
        self._stop_at = time.monotonic()

    def _finished(self) -> bool:
        if self._stop_at is None:
            return False
        return time.monotonic() >= self._stop_at or not any(link.outgoing for link in self._links)

    def _accepting(self, wanted: bool) -> None:
        self._accept_again = None
        for listener in self._listeners:
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
        if len(self._links) >= self._limits.connections:
            oldest = self._oldest()
            what = "the oldest unfinished handshake is closed" if oldest else f"{peer} is refused"
            _log.warning("over %d connections: %s", self._limits.connections, what)
            if not oldest:
                sock.close()
                return
            self.drop(oldest[0])
        try:
            tune(sock)
            sock.setblocking(False)
            if self._tls is not None:
                sock = self._tls[0].wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            _log.info("%s: %s", peer, error)
            sock.close()
            return
        deadline = time.monotonic() + self._limits.handshake_timeout
        link = Link(sock, peer, self._limits.handshake_line, deadline)
        self._links[link] = None
        self._shaking[link] = None
        self._watch(link, READ)
        self._ready(link)

    def settled(self, link: Link) -> None:
        """Note that a link's handshake is complete."""
        link.deadline = None
        link.reader.limit = self._limits.line
        self._shaking.pop(link, None)

    def drop(self, link: Link) -> None:
        """Close a link."""
        self._watch(link, 0)
        self._links.pop(link, None)
        self._shaking.pop(link, None)
        link.close()

    def _watch(self, link: Link, interest: int) -> None:
        if interest == link.interest:
            return
        if interest == 0:
            self._selector.unregister(link.sock)
        elif link.interest == 0:
            self._selector.register(link.sock, _EVENTS[interest], lambda: self._ready(link))
        else:
            self._selector.modify(link.sock, _EVENTS[interest], lambda: self._ready(link))
        link.interest = interest

    def _resume(self, link: Link) -> None:
        if link.closed or link not in self._links:
            self._links.pop(link, None)
            return
        self._ready(link)

    def _ready(self, link: Link) -> None:
        """Go on with a link as far as it goes without waiting."""
        if link.closed:
            return
        try:
            self._progress(link)
        except EOFError:
            self.drop(link)
        except (OSError, WireError) as error:
            level = logging.WARNING if isinstance(error, ssl.SSLError | WireError) else logging.DEBUG
            _log.log(level, "%s: %s: connection closed", link.peer, error)
            self.drop(link)
        except Exception:
            _log.exception("internal error while serving %s: connection closed", link.peer)
            self.drop(link)

    def _progress(self, link: Link) -> None:
        if link.stage == "tls":
            wanted = link.handshake_tls()
            if wanted:
                self._watch(link, wanted)
                return
            if self._tls is not None and isinstance(link.sock, ssl.SSLSocket):
                self._tls[1].check_peer(link.sock.getpeercert(binary_form=True))
        while True:
            if not link.flush():
                self._watch(link, WRITE)
                return
            if link.closing:
                raise EOFError
            frame = link.receive()
            if frame is None:
                self._watch(link, READ)
                return
            if not self._service.frame_received(link, frame):
                self._watch(link, 0)
                return

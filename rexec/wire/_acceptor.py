"""Accepts connections for a server on an event loop, within its limits, and completes TLS."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rexec.wire._admission import finished, has_room, name_of, seldom, unfinished
from rexec.wire._forks import keep_from_children
from rexec.wire._limits import Limits
from rexec.wire._listen import tune

_log = logging.getLogger(__name__)
_ACCEPT_PAUSE: Final = 0.5


class Acceptor:
    """Accepts connections on the running event loop.

    Args:
        listeners: Listening sockets.
        factory: Makes the protocol of a connection, from its socket and the peer's host:port.
        limits: Limits on what clients use.
        context: TLS, or None.

    """

    def __init__(
        self,
        listeners: list[socket.socket],
        factory: Callable[[socket.socket, str], asyncio.BaseProtocol],
        limits: Limits,
        context: ssl.SSLContext | None,
    ) -> None:
        self.listeners = listeners
        self._factory = factory
        self._limits = limits
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._present: set[socket.socket] = set()
        self._accepting = {asyncio.ensure_future(self._accept(one)) for one in listeners}
        self._welcoming: dict[asyncio.Task[None], socket.socket] = {}
        for listener in listeners:
            keep_from_children(listener)

    async def close(self) -> None:
        """Stop listening, and end connections whose TLS handshake is not complete."""
        for task in self._accepting:
            task.cancel()
        is_here = (
            self._loop is asyncio.get_running_loop()
        )  # not in a child process, nor where that loop has ended
        if is_here:
            await asyncio.wait(self._accepting)
        for listener in self.listeners:
            listener.close()
        if not is_here:
            return
        # A transport whose creation is cancelled may call connection_made and never connection_lost. So TLS is ended
        # by its socket; creation without TLS ends in a moment.
        if self._context is not None:
            for sock in self._welcoming.values():
                _hang_up(sock)
        if self._welcoming:
            await asyncio.wait(list(self._welcoming))

    def left(self, sock: socket.socket) -> None:
        """Note the end of a connection."""
        self._present.discard(sock)
        finished(sock)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await asyncio.sleep(0)  # so that connections that gave way are closed first
            try:
                sock, address = await self._accepted(listener)
            except ConnectionError:
                continue
            except OSError as error:
                # Out of file descriptors, most likely: waiting clients stay in the system's queue.
                seldom("accept", "cannot accept connections: %s; trying again in %g s", error, _ACCEPT_PAUSE)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            if address is None:  # macOS says so of a client that has gone already
                sock.close()
                continue
            peer = f"{address[0]}:{address[1]}"
            if not has_room(sock, self, peer, len(self._present), self._limits):
                sock.close()
                continue
            self._present.add(sock)
            unfinished(sock, self, partial(_hang_up, sock))
            keep_from_children(sock)
            task = asyncio.ensure_future(self._welcome(sock, peer))
            self._welcoming[task] = sock
            task.add_done_callback(self._welcoming.pop)

    async def _accepted(self, listener: socket.socket) -> tuple[socket.socket, Any]:
        """Return the next connection. One that comes as this is cancelled stays in the system's queue.

        The loop's `sock_accept` would have accepted it already, and nothing would close it.
        """
        # Completion ports have no event for it. (Of `sys.platform`, mypy would take the rest for unreachable.)
        if os.name == "nt":
            return await self._loop.sock_accept(listener)
        while True:
            with contextlib.suppress(BlockingIOError):
                return listener.accept()
            come = self._loop.create_future()
            self._loop.add_reader(listener, _tell, come)
            try:
                await come
            finally:
                self._loop.remove_reader(listener)

    async def _welcome(self, sock: socket.socket, peer: str) -> None:
        try:
            tune(sock)
            seconds = None if self._context is None else self._limits.handshake_timeout
            await self._loop.connect_accepted_socket(
                lambda: self._factory(sock, peer), sock, ssl=self._context, ssl_handshake_timeout=seconds
            )
        except OSError as error:
            seldom(f"{name_of(self)} {peer.rpartition(':')[0]}", "%s: %s: connection closed", peer, error)
            self.left(sock)
            sock.close()
        except BaseException:
            self.left(sock)
            sock.close()
            raise


def _hang_up(sock: socket.socket) -> None:
    """End a connection; its loop sees that, and closes the socket. From any thread."""
    try:
        # Not the method of an SSLSocket, which would change it.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended by itself
    if sys.platform == "win32":
        sock.close()  # nothing else ends a read that is pending at a completion port


def _tell(come: "asyncio.Future[None]") -> None:
    if not come.done():
        come.set_result(None)

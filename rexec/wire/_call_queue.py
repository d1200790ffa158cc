"""The queue of calls: they run in the thread of an event loop, in the order in which they arrived.

They run one at a time, unless coroutines of several connections may overlap (docs/decisions/0010-*.md).
"""

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from rexec.wire._framing import Frame
from rexec.wire._handshake import Choice
from rexec.wire._pieces import Piece
from rexec.wire._protocol import decode_request
from rexec.wire._server_connection import ServerConnection
from rexec.wire.errors import FormatError

_log = logging.getLogger(__name__)

_TURN: Final = 0.002
_TIGHT: Final = 0.003
"""Seconds between answer and request in a tight loop. To follow one makes a small call 1.65 times as fast."""
_LINGER: Final = 2
"""How long, in milliseconds, the next call of a client in a tight loop is waited for."""

Answer = list[Piece] | Coroutine[Any, Any, list[Piece]]


class Performer(Protocol):
    """What carries out a call."""

    def open(self, connection: ServerConnection, choice: Choice) -> None:
        """Make the target that a client has chosen, and answer."""

    def perform(self, connection: ServerConnection, request: Any) -> Answer:
        """Return the answer to a request, or a coroutine that returns it.

        Raises:
            EOFError: The connection ends without one.

        """

    def give_back(self, connection: ServerConnection) -> None:
        """Return the connection to the I/O thread."""


class CallQueue:
    """The calls that wait, and the one that runs, or those that run.

    Args:
        loop: Where they run.
        performer: Carries calls out.
        allow_parallel: Let coroutines of several connections overlap.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, performer: Performer, allow_parallel: bool) -> None:
        self._loop = loop
        self._performer = performer
        self._allow_parallel = allow_parallel
        self._inbox: collections.deque[ServerConnection] = collections.deque()
        self._scheduled = False
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Empty the queue, and cancel the coroutines that run."""
        self._inbox.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hand_over(self, connection: ServerConnection) -> None:
        """Add a connection with its request to the queue. From the I/O thread."""
        connection.tight = time.monotonic() - connection.answered_at < _TIGHT
        self._inbox.append(connection)
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: no call will run any more
                self._loop.call_soon_threadsafe(self._next)

    # All that follows runs in the loop's thread.

    def _may_go_on(self) -> bool:
        return self._allow_parallel or not self._running

    def _next(self) -> None:
        """Carry out the calls of the queue, and let the loop run every 2 ms."""
        turn_ends = time.monotonic() + _TURN
        while self._inbox and self._may_go_on():
            self._serve(self._inbox.popleft())
            if time.monotonic() > turn_ends:
                break
        # Re-check the queue: a call may have been added before the flag was cleared.
        self._scheduled = False
        if self._inbox and self._may_go_on():
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _serve(self, connection: ServerConnection) -> None:
        """Carry out one request, and give the connection back unless a coroutine goes on with it."""
        try:
            if isinstance(connection.request, Choice):
                self._performer.open(connection, connection.request)
            else:
                sent = self._answer(connection)
                if sent is None:
                    return
                if sent and connection.tight:
                    self._follow(connection)
                    return
        except Exception as error:
            self._failed(connection, error)
        self._performer.give_back(connection)

    def _follow(self, connection: ServerConnection) -> None:
        """Serve a client that calls in a tight loop without the I/O thread, as long as nobody else calls.

        To hand a call from thread to thread and back costs more than a small call itself.
        """
        turn_ends = time.monotonic() + _TURN
        try:
            while not self._inbox and self._may_go_on():
                connection.request = connection.receive_soon(_LINGER, turn_ends)
                if connection.request is None:
                    break
                sent = self._answer(connection)
                if sent is None:
                    return
                if not sent:
                    break
                if connection.answered_at > turn_ends:
                    # Let the loop run, then go on.
                    self._loop.call_soon(self._follow, connection)
                    return
        except Exception as error:
            self._failed(connection, error)
        self._performer.give_back(connection)

    def _answer(self, connection: ServerConnection) -> bool | None:
        """Carry out a request and answer it; return whether all was sent, None where a task goes on with it.

        No reference to request and answer remains: the next ones need the memory.
        """
        request, connection.request = connection.request, None
        if isinstance(request, Frame):
            connection.request_size = request.size
            request = decode_request(connection.codec, request)
        answer = self._performer.perform(connection, request)
        if not isinstance(answer, list):
            self._running = True
            task = asyncio.ensure_future(self._finish(connection, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        sent = connection.send(answer)
        connection.answered_at = time.monotonic()
        return sent

    async def _finish(self, connection: ServerConnection, answer: Coroutine[Any, Any, list[Piece]]) -> None:
        try:
            connection.send(await answer)
        except Exception as error:
            self._failed(connection, error)
        except asyncio.CancelledError:
            # The server stops: the client sees the connection end.
            connection.closing = True
        finally:
            self._running = False
            self._performer.give_back(connection)
            if self._inbox and not self._scheduled:
                self._next()

    def _failed(self, connection: ServerConnection, error: Exception) -> None:
        """Close a connection whose call could not be answered."""
        connection.closing = True
        connection.outgoing.clear()
        if isinstance(error, OSError | EOFError | FormatError):
            _log.debug("%s: %s: connection closed", connection.peer, error)
        else:
            _log.error("error while serving %s: connection closed", connection.peer, exc_info=error)

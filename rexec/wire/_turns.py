"""Whose turn it is: calls are carried out in the thread of an event loop, in the order in which they came.

One at a time, unless coroutines of several connections may overlap (docs/decisions/0010-*.md).
"""

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from rexec.wire._framing import Frame
from rexec.wire._link import Link
from rexec.wire._pieces import Piece
from rexec.wire._protocol import decode_request
from rexec.wire.errors import FormatError

_log = logging.getLogger(__name__)

_TURN: Final = 0.002
_TIGHT: Final = 0.003
_LINGER: Final = 2
"""How long, in milliseconds, the next call of a client in a tight loop is waited for."""

Answer = list[Piece] | Coroutine[Any, Any, list[Piece]]


class Performer(Protocol):
    """What is done in a turn."""

    def open(self, link: Link) -> None:
        """Make the target that a link has chosen, and tell its client."""

    def perform(self, link: Link, request: Any) -> Answer:
        """Return the answer to a request, or what is to be awaited for it.

        Raises:
            EOFError: There is none: the connection ends.

        """

    def give_back(self, link: Link) -> None:
        """Let the link's client go on; from now on the link belongs to the I/O thread."""


class Turns:
    """The calls that wait, and the one that runs.

    Args:
        loop: Where they run.
        performer: Does what is done in a turn.
        allow_parallel: Let coroutines of several connections overlap.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, performer: Performer, allow_parallel: bool) -> None:
        self._loop = loop
        self._performer = performer
        self._allow_parallel = allow_parallel
        self._inbox: collections.deque[Link] = collections.deque()
        self._scheduled = False
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Forget what waits, and cancel what is being awaited."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._inbox.clear()

    def hand_over(self, link: Link) -> None:
        """Put a link into the queue, with what it has asked for. From the I/O thread."""
        link.tight = time.monotonic() - link.answered_at < _TIGHT
        self._inbox.append(link)
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: no call will run any more
                self._loop.call_soon_threadsafe(self._next)

    # All that follows runs in the loop's thread.

    def _may_go_on(self) -> bool:
        return self._allow_parallel or not self._running

    def _next(self) -> None:
        """Take what waits, one after another, and give the loop a turn now and then."""
        turn_ends = time.monotonic() + _TURN
        while self._inbox and self._may_go_on():
            self._serve(self._inbox.popleft())
            if time.monotonic() > turn_ends:
                break
        # From here on the I/O thread has to wake the loop; what came before that is looked at once more.
        self._scheduled = False
        if self._inbox and self._may_go_on():
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _serve(self, link: Link) -> None:
        """Carry out what was handed over, and give the link back unless a coroutine is still to be awaited."""
        try:
            if link.stage == "target":
                self._performer.open(link)
            else:
                sent = self._answer(link)
                if sent is None:
                    return
                if sent and link.tight:
                    self._follow(link)
                    return
        except Exception as error:
            self._failed(link, error)
        self._performer.give_back(link)

    def _follow(self, link: Link) -> None:
        """Serve a client that calls in a tight loop without the way through the I/O thread, as long as it is alone.

        Handing a call from thread to thread and back costs more than a small call itself.
        """
        turn_ends = time.monotonic() + _TURN
        try:
            while not self._inbox and self._may_go_on():
                link.request = link.receive_soon(_LINGER, turn_ends)
                if link.request is None:
                    break
                sent = self._answer(link)
                if sent is None:
                    return
                if not sent:
                    break
                if link.answered_at > turn_ends:
                    # Whatever else runs on this loop has its turn.
                    self._loop.call_soon(self._follow, link)
                    return
        except Exception as error:
            self._failed(link, error)
        self._performer.give_back(link)

    def _answer(self, link: Link) -> bool | None:
        """Carry out a link's request and answer it; return whether all was sent, None where a task goes on with it.

        Nothing of request and answer is held any more once this returns: the next ones need the memory.
        """
        request, link.request = link.request, None
        if isinstance(request, Frame):
            request = decode_request(link.codec, request)
        answer = self._performer.perform(link, request)
        if not isinstance(answer, list):
            self._running = True
            task = asyncio.ensure_future(self._finish(link, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        sent = link.send(answer)
        link.answered_at = time.monotonic()
        return sent

    async def _finish(self, link: Link, answer: Coroutine[Any, Any, list[Piece]]) -> None:
        try:
            link.send(await answer)
        except Exception as error:
            self._failed(link, error)
        except asyncio.CancelledError:
            # The server stops: whoever called sees the connection end.
            link.closing = True
        finally:
            self._running = False
            self._performer.give_back(link)
            if self._inbox and not self._scheduled:
                self._next()

    def _failed(self, link: Link, error: Exception) -> None:
        """Have a link closed whose call could not be answered."""
        link.closing = True
        link.outgoing.clear()
        if isinstance(error, OSError | EOFError | FormatError):
            _log.debug("%s: %s: connection closed", link.peer, error)
        else:
            _log.error("error while serving %s: connection closed", link.peer, exc_info=error)

"""The pc_rpc server: handshakes and method lists in the I/O thread, calls in the thread of the event loop."""

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from rexec.wire._framing import Frame
from rexec.wire._io_thread import IOThread
from rexec.wire._limits import Limits
from rexec.wire._link import Link
from rexec.wire._listen import addresses_of, listen
from rexec.wire._pieces import Piece
from rexec.wire._protocol import (
    BANNER,
    FEATURES,
    Codec,
    answer_message,
    decode_request,
    failure_message,
    greeting_line,
)
from rexec.wire._targets import describe, is_marked, is_while_busy, method_names
from rexec.wire.errors import FormatError
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

_LARGE: Final = 1 << 16
_TURN: Final = 0.002
_TIGHT: Final = 0.003
_LINGER: Final = 2
"""How long, in milliseconds, the next call of a client in a tight loop is waited for."""


class Server:
    """Offers the methods of objects to clients.

    Args:
        targets: Objects by name. A callable one is called once a connection, its result is the target then.
        description: Text for people.
        builtin_terminate: Offer a method `terminate` that ends `wait_terminate`.
        allow_parallel: Let coroutine methods of several connections overlap.
        limits: What clients can make the server hold.

    Methods run in the thread and on the event loop in which `start` was awaited, one at a time.

    """

    def __init__(
        self,
        targets: Mapping[str, Any],
        description: str | None = None,
        builtin_terminate: bool = False,
        allow_parallel: bool = False,
        *,
        limits: Limits | None = None,
    ) -> None:
        for name in targets:
            if not name or any(character.isspace() for character in name) or not name.isascii():
                raise ValueError(f"{name!r} is no target name: it must be ASCII without white space")
        self.targets = dict(targets)
        self.description = description
        self.builtin_terminate = builtin_terminate
        self.allow_parallel = allow_parallel
        self.limits = limits or Limits()
        self.addresses: list[tuple[str, int]] = []
        """Where the server listens: (address, port)."""
        self.exit_code: Any = None
        """The argument of the SystemExit that a method raised."""
        self._io: IOThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: collections.deque[Link] = collections.deque()
        self._scheduled = False
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._terminate = asyncio.Event()
        self._io_ended = asyncio.Event()

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return self.addresses[0][1]

    async def start(
        self, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Name or address, several of them, or None for all interfaces.
            port: TCP port; 0 lets the system choose (see `port`).
            ssl_config: TLS, if any.

        Raises:
            OSError: The address cannot be listened on, or a TLS file cannot be read.

        """
        if self._io is not None:
            raise RuntimeError("the server is started already")
        self._loop = asyncio.get_running_loop()
        listeners = listen(host, port, secured=ssl_config is not None)
        try:
            io = IOThread(listeners, self, self.limits, ssl_config, self._io_has_ended)
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        self.addresses = addresses_of(listeners)
        self._io_ended.clear()
        self._io = io
        io.start()

    async def stop(self) -> None:
        """Stop listening, close all connections, cancel calls that are being awaited, end the I/O thread."""
        io, self._io = self._io, None
        if io is None:
            return
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._inbox.clear()
        io.stop()
        await self._io_ended.wait()
        io.join()

    def abort(self) -> None:
        """Close all sockets at once, running calls unanswered, as if the process had died. From any thread.

        `stop` is still to be awaited.
        """
        if self._io is not None:
            self._io.abort()

    async def wait_terminate(self) -> None:
        """Wait until a client calls `terminate`, or a method raises SystemExit."""
        await self._terminate.wait()

    def terminate(self) -> None:
        """End `wait_terminate`. From the thread of the event loop."""
        self._terminate.set()

    def _io_has_ended(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._io_ended.set)

    # In the I/O thread.

    def frame_received(self, link: Link, frame: Frame) -> bool:
        """Handle a message; return whether the link may go on reading."""
        if link.stage == "banner":
            if bytes(frame.line) + b"\n" != BANNER:
                raise EOFError
            link.stage = "target"
            link.send([greeting_line(list(self.targets), self.description)], patience=0)
            return True
        if link.stage == "target":
            return self._target_chosen(link, bytes(frame.line))
        request: Any = frame
        link.tight = time.monotonic() - link.answered_at < _TIGHT
        if frame.size <= _LARGE:
            request = decode_request(link.codec, frame)
            if self._is_immediate(link, request):
                link.send(self._perform_now(link, request), patience=0)
                return True
        link.request = request
        self._hand_over(link)
        return False

    def _target_chosen(self, link: Link, line: bytes) -> bool:
        name, *features = line.decode("ascii", "replace").split(" ")
        if name not in self.targets or not set(features) <= set(FEATURES):
            raise EOFError
        link.codec = Codec.of(features)
        link.target_name = name
        link.reader.raw = link.codec.raw
        target = self.targets[name]
        if callable(target) and not is_marked(target):
            self._hand_over(link)
            return False
        self._open(link, target() if callable(target) else target)
        return True

    def _open(self, link: Link, target: Any) -> None:
        link.target = target
        names = method_names(target, terminate=self.builtin_terminate)
        link.stage = "ready"
        if self._io is not None:
            self._io.settled(link)
        link.send(link.codec.encode(names), patience=0)

    def _is_immediate(self, link: Link, request: Any) -> bool:
        if not isinstance(request, dict):
            return False
        action, name = request.get("action"), request.get("name")
        if action == "get_rpc_method_list":
            return True
        return action == "call" and isinstance(name, str) and is_while_busy(link.target, name)

    def _hand_over(self, link: Link) -> None:
        self._inbox.append(link)
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: no call will run any more
                self._loop.call_soon_threadsafe(self._next)

    # In either thread.

    def _perform_now(self, link: Link, request: dict[str, Any]) -> list[Piece]:
        """Carry out what needs no turn, and return the answer."""
        number = request.get("id")
        try:
            if request["action"] == "get_rpc_method_list":
                result = describe(link.target, terminate=self.builtin_terminate)
            else:
                result = self._invoke(link, request)
            return answer_message(link.codec, result, number)
        except Exception as error:
            return failure_message(link.codec, error, number, 2)

    def _invoke(self, link: Link, request: dict[str, Any]) -> Any:
        args, kwargs = request.get("args", ()), request.get("kwargs", {})
        return getattr(link.target, request["name"])(*args, **kwargs)

    # In the loop's thread.

    def _next(self) -> None:
        """Take what waits, one after another, and give the loop a turn now and then."""
        turn_ends = time.monotonic() + _TURN
        while self._inbox and (self.allow_parallel or not self._running):
            self._serve(self._inbox.popleft())
            if time.monotonic() > turn_ends:
                break
        # From here on the I/O thread has to wake the loop; what came before that is looked at once more.
        self._scheduled = False
        if self._inbox and (self.allow_parallel or not self._running) and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _serve(self, link: Link) -> None:
        """Carry out what was handed over, and give the link back unless a coroutine is still to be awaited."""
        try:
            if link.stage == "target":
                self._open(link, self.targets[link.target_name]())
            else:
                sent = self._answer(link)
                if sent is None:
                    return
                if sent and link.tight:
                    self._follow(link)
                    return
        except Exception as error:
            self._failed(link, error)
        self._give_back(link)

    def _follow(self, link: Link) -> None:
        """Serve a client that calls in a tight loop without the way through the I/O thread, as long as it is alone.

        Handing a call from thread to thread and back costs more than a small call itself.
        """
        if self._io is None or self._loop is None:
            return
        turn_ends = time.monotonic() + _TURN
        try:
            while not self._inbox and (self.allow_parallel or not self._running):
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
        self._give_back(link)

    def _answer(self, link: Link) -> bool | None:
        """Carry out a link's request and answer it; return whether all was sent, None where a task goes on with it.

        Nothing of request and answer is held any more once this returns: the next ones need the memory.
        """
        request, link.request = link.request, None
        if isinstance(request, Frame):
            request = decode_request(link.codec, request)
        answer = self._perform(link, request)
        if answer is None:
            return None
        sent = link.send(answer)
        link.answered_at = time.monotonic()
        return sent

    def _perform(self, link: Link, request: Any) -> list[Piece] | None:
        """Carry out a request; return the answer, or None where a task goes on with it."""
        number = request.get("id") if isinstance(request, dict) else None
        try:
            if not isinstance(request, dict):
                raise request if isinstance(request, TypeError) else ValueError("A request is a dict")
            if request.get("action") != "call":
                if request.get("action") == "get_rpc_method_list":
                    return self._perform_now(link, request)
                raise ValueError(f"Unknown action: {request.get('action')}")
            if self.builtin_terminate and request.get("name") == "terminate":
                self._terminate.set()
                return answer_message(link.codec, None, number)
            result = self._invoke(link, request)
            if not hasattr(type(result), "__await__"):
                return answer_message(link.codec, result, number)
        except SystemExit as error:
            self._exit(error)
            raise EOFError from error
        except Exception as error:
            return failure_message(link.codec, error, number, 2)
        self._running = True
        task = asyncio.ensure_future(self._finish(link, result, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def _finish(self, link: Link, result: Awaitable[Any], number: Any) -> None:
        try:
            try:
                answer = answer_message(link.codec, await result, number)
            except SystemExit as error:
                self._exit(error)
                raise EOFError from error
            except Exception as error:
                answer = failure_message(link.codec, error, number, 1)
            link.send(answer)
        except Exception as error:
            self._failed(link, error)
        except asyncio.CancelledError:
            # The server stops: whoever called sees the connection end.
            link.closing = True
        finally:
            self._running = False
            self._give_back(link)
            if self._inbox and not self._scheduled:
                self._next()

    def _exit(self, error: SystemExit) -> None:
        self.exit_code = error.code
        self._terminate.set()

    def _failed(self, link: Link, error: Exception) -> None:
        """Have a link closed whose call could not be answered."""
        link.closing = True
        link.outgoing.clear()
        if isinstance(error, OSError | EOFError | FormatError):
            _log.debug("%s: %s: connection closed", link.peer, error)
        else:
            _log.error("error while serving %s: connection closed", link.peer, exc_info=error)

    def _give_back(self, link: Link) -> None:
        if self._io is not None:
            self._io.give_back(link)

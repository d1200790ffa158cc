"""The pc_rpc server: handshakes and method lists in the I/O thread, calls in the thread of the event loop."""

import asyncio
import contextlib
import logging
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
from rexec.wire._turns import Answer, Turns
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

_LARGE: Final = 1 << 16


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
        self._turns = Turns(self._loop, self, self.allow_parallel)
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
        await self._turns.stop()
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
        if frame.size <= _LARGE:
            request = decode_request(link.codec, frame)
            if self._is_immediate(link, request):
                link.send(self._perform_now(link, request), patience=0)
                return True
        link.request = request
        self._turns.hand_over(link)
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
            self._turns.hand_over(link)
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

    def open(self, link: Link) -> None:
        """Make the target of a link whose factory waits for its turn, and tell the client its methods."""
        self._open(link, self.targets[link.target_name]())

    def perform(self, link: Link, request: Any) -> Answer:
        """Carry out a request; return the answer, or what is to be awaited for it.

        Raises:
            EOFError: A method raised SystemExit.

        """
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
        return self._awaited(link, result, number)

    async def _awaited(self, link: Link, result: Awaitable[Any], number: Any) -> list[Piece]:
        try:
            return answer_message(link.codec, await result, number)
        except SystemExit as error:
            self._exit(error)
            raise EOFError from error
        except Exception as error:
            return failure_message(link.codec, error, number, 1)

    def _exit(self, error: SystemExit) -> None:
        self.exit_code = error.code
        self._terminate.set()

    def give_back(self, link: Link) -> None:
        """Let the I/O thread go on with a link."""
        if self._io is not None:
            self._io.give_back(link)

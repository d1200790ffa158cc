"""The pc_rpc server: handshakes and method lists in the I/O thread, calls in the thread of the event loop."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from rexec.access.guard import AccessGuard, process_guard
from rexec.access.identity import ConnectedClient, calls_for
from rexec.ground.lease_table import LeaseTable
from rexec.wire._call_queue import Answer, CallQueue
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._guarded import admit, make_target, note_arrival, recorded, recorded_now
from rexec.wire._handshake import Choice, ServerHandshake
from rexec.wire._io_thread import IOThread
from rexec.wire._lease_requests import answered
from rexec.wire._limits import Limits
from rexec.wire._listen import ListeningServer
from rexec.wire._pieces import Piece
from rexec.wire._protocol import answer_message, decode_request, failure_message
from rexec.wire._server_connection import ServerConnection
from rexec.wire._targets import (
    can_be_served,
    describe,
    is_ended_with_client,
    is_marked,
    is_while_busy,
)
from rexec.wire.tls import SimpleSSLConfig

_LARGE: Final = 1 << 16
_LOOK: Final = 0.25
"""Seconds between two looks whether a client is still there."""


class Server(ListeningServer):
    """Offers the methods of objects to clients.

    Args:
        targets: Objects by name. A callable one is called once a connection, its result is the target then.
        description: Text for people.
        builtin_terminate: Offer a method `terminate` that ends `wait_terminate`.
        allow_parallel: Let coroutine methods of several connections overlap.
        limits: What clients can make the server hold.
        guard: What may be done and is written down; by default that of the process.

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
        guard: AccessGuard | None = None,
    ) -> None:
        for name in targets:
            if not can_be_served(name):
                raise ValueError(f"{name!r} is no target name: it must be ASCII without white space")
        self.targets = targets
        """As given, not a copy: targets may be added while the server runs."""
        self.description = description
        self.builtin_terminate = builtin_terminate
        self.allow_parallel = allow_parallel
        self.limits = limits or Limits()
        self._guard = guard
        self.leases: Final = LeaseTable()
        """Who uses the devices of this server."""
        self._io: IOThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._terminate = asyncio.Event()
        self._io_ended = asyncio.Event()

    async def start(
        self, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Name or address, several of them, or None for all interfaces.
            port: TCP port; 0 lets the system choose (see `port`).
            ssl_config: TLS, if any.

        Raises:
            OSError: The address cannot be listened on, or a file of TLS or of rights cannot be read.
            ValueError: A file of rights is none, or does not have this controller.

        """
        if self._io is not None:
            raise RuntimeError("the server is started already")
        self._guard = self._guard or process_guard()
        listeners, context = self._listen(host, port, ssl_config)
        self._loop = asyncio.get_running_loop()
        self._queue = CallQueue(self._loop, self, self.allow_parallel)
        self._io_ended.clear()
        self._io = IOThread(listeners, self, self.limits, context, self._io_has_ended)
        self._io.start()

    async def stop(self) -> None:
        """Stop listening, close all connections, cancel calls that are being awaited, end the I/O thread."""
        io, self._io, self.server = self._io, None, None
        if io is None:
            return
        if self._loop is not asyncio.get_running_loop():  # a child process, or that loop has ended
            io.abort()
            return
        await self._queue.stop()
        io.stop()
        await self._io_ended.wait()
        io.join()

    def connected(self) -> list[ConnectedClient]:
        """Return the clients that have chosen a target, in the order in which they connected. From any thread."""
        return [
            ConnectedClient(each.identity, each.target_name, each.since, each.peer)
            for each in self._connections()
            if each.target_name and not each.closed
        ]

    def _connections(self) -> list[ServerConnection]:
        return [] if self._io is None else self._io.connections()

    def abort(self) -> None:
        """Close all sockets at once, running calls unanswered, as if the process had died. From any thread.

        `stop` is still to be awaited.
        """
        if self._io is not None:
            self._io.abort()

    async def wait_terminate(self) -> None:
        """Wait until a client calls `terminate`."""
        await self._terminate.wait()

    @property
    def ends(self) -> bool:
        """Whether the server was told to end."""
        return self._terminate.is_set()

    def terminate(self) -> None:
        """End `wait_terminate`. From the thread of the event loop."""
        self._terminate.set()

    def _io_has_ended(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._io_ended.set)

    # In the I/O thread.

    def handshake(self, reader: FrameReader) -> ServerHandshake:
        """Return the handshake of a new connection, whose messages `reader` splits."""
        return ServerHandshake(reader, self.targets, self.description)

    def frame_received(self, connection: ServerConnection, frame: Frame) -> bool:
        """Handle a message, one `frame`; return whether the connection may go on reading."""
        if connection.handshake is not None:
            return self._shake_hands(connection, connection.handshake.take(frame))
        request: Any = frame
        connection.request_size = frame.size
        if frame.size <= _LARGE:
            request = decode_request(connection.codec, frame)
            if self._is_immediate(connection, request):
                connection.send(recorded_now(self._guard, connection, request, self._perform_now), patience=0)
                return True
        connection.request = request
        self._queue.hand_over(connection)
        return False

    def _shake_hands(self, connection: ServerConnection, said: bytes | Choice) -> bool:
        """Send the next line of a handshake, or make the target that ends it; return as `frame_received`."""
        if isinstance(said, bytes):
            connection.send([said], patience=0)
            return True
        target = self.targets[said.target]
        if callable(target) and not is_marked(target):
            connection.request = said
            self._queue.hand_over(connection)
            return False
        self.open(connection, said)
        return True

    def _is_immediate(self, connection: ServerConnection, request: Any) -> bool:
        if not isinstance(request, dict) or not isinstance(request.get("action"), str):
            return False
        action, name = request.get("action"), request.get("name")
        if action in ("get_rpc_method_list", "lease"):
            return True
        return action == "call" and isinstance(name, str) and is_while_busy(connection.target, name)

    # In either thread.

    def open(self, connection: ServerConnection, choice: Choice) -> None:
        """Make the target that a client has chosen, and answer with its methods.

        Args:
            connection: To the client.
            choice: Target and features that it has asked for.

        Raises:
            RuntimeError: The factory raised something that is no Exception.
            Exception: What it raised.

        """
        target = self.targets[choice.target]
        connection.target_name, connection.introduction = choice.target, choice.introduction
        connection.since = time.time()
        calls_for(connection.reference)
        connection.guard = self._guard
        names = make_target(self._guard, connection, target, terminate=self.builtin_terminate)
        connection.codec = choice.codec
        if self._io is not None:
            self._io.settled(connection)
        note_arrival(self._guard, connection)
        connection.send(choice.codec.encode(names), patience=0)

    def _perform_now(self, connection: ServerConnection, request: dict[str, Any]) -> list[Piece]:
        """Carry out what needs no turn, and return the answer."""
        number = request.get("id")
        try:
            if self._guard is not None:
                admit(self._guard, connection, request)
            if request["action"] == "get_rpc_method_list":
                result = describe(connection.target, terminate=self.builtin_terminate)
            elif request["action"] == "lease":
                result = answered(self.leases, connection, request, self.targets, self._connections)
            else:
                result = self._invoke(connection, request)
            return answer_message(connection.codec, result, number)
        except BaseException as error:
            return failure_message(connection.codec, error, number, 2)

    def _invoke(self, connection: ServerConnection, request: dict[str, Any]) -> Any:
        args, kwargs = request.get("args", ()), request.get("kwargs", {})
        calls_for(connection.reference)
        return getattr(connection.target, request["name"])(*args, **kwargs)

    # In the loop's thread.

    def perform(self, connection: ServerConnection, request: Any) -> Answer:
        """Carry out a request of a connection; return the answer, or a coroutine that returns it."""
        if self._guard is None:
            return self._carry_out(connection, request)
        return recorded(self._guard, connection, request, self._carry_out)

    def _carry_out(self, connection: ServerConnection, request: Any) -> Answer:
        number = request.get("id") if isinstance(request, dict) else None
        try:
            if not isinstance(request, dict):
                raise request if isinstance(request, TypeError) else ValueError("A request is a dict")
            if request.get("action") != "call":
                if request.get("action") in ("get_rpc_method_list", "lease"):
                    return self._perform_now(connection, request)
                raise ValueError(f"Unknown action: {request.get('action')}")
            if self._guard is not None:
                admit(self._guard, connection, request)
            if self.builtin_terminate and request.get("name") == "terminate":
                self._terminate.set()
                return answer_message(connection.codec, None, number)
            result = self._invoke(connection, request)
            if not hasattr(type(result), "__await__"):
                return answer_message(connection.codec, result, number)
        except BaseException as error:
            # A driver that calls sys.exit() or raises KeyboardInterrupt must not end what others use.
            return failure_message(connection.codec, error, number, 2)
        if is_ended_with_client(connection.target, request["name"]):
            result = _while_connected(connection, result)
        return self._awaited(connection, result, number)

    async def _awaited(
        self, connection: ServerConnection, result: Awaitable[Any], number: Any
    ) -> list[Piece]:
        try:
            return answer_message(connection.codec, await result, number)
        except ClientGone:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the server stops
            return failure_message(connection.codec, error, number, 1)
        except BaseException as error:
            return failure_message(connection.codec, error, number, 1)

    def give_back(self, connection: ServerConnection) -> None:
        """Let the I/O thread go on with a connection."""
        if self._io is not None:
            self._io.give_back(connection)


class ClientGone(EOFError):
    """Raised when a client has closed its connection before the answer."""


async def _while_connected(connection: ServerConnection, result: Awaitable[Any]) -> Any:
    """Return what a call returns; cancel it when its client has gone.

    Raises:
        ClientGone: It has.
        Exception: What the call raised.

    """
    task = asyncio.ensure_future(result)
    try:
        while not (await asyncio.wait([task], timeout=_LOOK))[0]:
            if connection.is_gone():
                raise ClientGone("the client has gone")
        return task.result()
    finally:
        task.cancel()

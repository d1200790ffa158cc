"""Small helpers for asyncio programs, under the names that the ecosystem's programs import."""

import asyncio
import atexit
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Any, Final

from rexec.ground.signals import ending_signals, handlers_set
from rexec.wire._listen import ListeningServer
from rexec.wire.tls import SimpleSSLConfig

__all__ = [
    "AsyncioServer",
    "Condition",
    "SignalHandler",
    "SimpleSSLConfig",
    "TaskObject",
    "atexit_register_coroutine",
]

_LINE_LIMIT: Final = 4 << 20
"""Longest line that a reader of `AsyncioServer` takes, in bytes."""


def atexit_register_coroutine(
    coroutine: Callable[[], Awaitable[Any]], *, loop: asyncio.AbstractEventLoop | None = None
) -> None:
    """Run a coroutine function on an event loop when the program ends.

    Args:
        coroutine: Called without arguments.
        loop: Where it runs; by default the current event loop. It must not be closed by then.

    """
    where = asyncio.get_event_loop() if loop is None else loop

    async def run() -> None:
        await coroutine()

    atexit.register(lambda: where.run_until_complete(run()))


class TaskObject:
    """Runs the coroutine `_do` of a subclass as a task.

    Attributes:
        task: The task, from `start` to `stop`.

    """

    task: "asyncio.Task[None]"

    def start(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the task.

        Args:
            loop: Where it runs; by default the running event loop.

        """
        self.task = (loop or asyncio.get_event_loop()).create_task(self._do())

    async def stop(self) -> None:
        """Cancel the task and wait for its end.

        Raises:
            Exception: What ended the task before.

        """
        task = self.task
        task.cancel()
        await asyncio.wait([task])
        del self.task
        if not task.cancelled():
            task.result()

    async def _do(self) -> None:
        raise NotImplementedError


class Condition:
    """Wakes every coroutine that waits; without a lock."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for the next `notify`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def notify(self) -> None:
        """Wake every coroutine that waits now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class SignalHandler:
    """Lets a coroutine wait for SIGINT, SIGTERM or SIGHUP. Only the main thread of a program gets signals."""

    def __init__(self) -> None:
        self._received: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handlers = contextlib.ExitStack()

    def setup(self) -> None:
        """Take the signals over, for the current event loop."""
        self._loop = asyncio.get_event_loop()
        self._received = asyncio.Event()
        self._handlers.enter_context(handlers_set(dict.fromkeys(ending_signals(), self._handle)))

    def teardown(self) -> None:
        """Put the former handlers back."""
        self._handlers.close()

    async def wait_terminate(self) -> None:
        """Wait for a signal.

        Raises:
            RuntimeError: `setup` was not called.

        """
        if self._received is None:
            raise RuntimeError("call setup() of the SignalHandler first")
        await self._received.wait()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None and self._received is not None:
            self._loop.call_soon_threadsafe(self._received.set)


class AsyncioServer(ListeningServer):
    """A TCP server; a subclass defines the coroutine `_handle_connection_cr(reader, writer)`.

    Attributes:
        server: Has the `sockets` of an `asyncio.Server`, from `start` to `stop`; None otherwise.

    """

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Name or address, several of them, or None for all interfaces.
            port: TCP port; 0 lets the system choose.
            ssl_config: TLS, if any.

        Raises:
            OSError: The address cannot be listened on, or a TLS file cannot be read.

        """
        sockets, context = self._listen(host, port, ssl_config)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            try:
                await self._handle_connection_cr(reader, writer)
            except asyncio.CancelledError:
                return  # the server stops
            finally:
                writer.close()

        self._servers = [
            await asyncio.start_server(connected, sock=each, ssl=context, limit=_LINE_LIMIT)
            for each in sockets
        ]

    async def stop(self) -> None:
        """Stop listening, and cancel the tasks of all connections."""
        servers, self._servers, self.server = self._servers, [], None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for server in servers:
            server.close()
            await server.wait_closed()

    async def _handle_connection_cr(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

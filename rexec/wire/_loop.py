"""`simple_server_loop`: a controller's main function."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from rexec.wire._limits import Limits
from rexec.wire._server import Server
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)


def simple_server_loop(
    targets: Mapping[str, Any],
    host: str | Sequence[str] | None,
    port: int,
    description: str | None = None,
    allow_parallel: bool = False,
    ssl_config: SimpleSSLConfig | None = None,
    *,
    loop: asyncio.AbstractEventLoop | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until a client calls `terminate`, or SIGINT, SIGTERM or SIGHUP arrives.

    Methods run one at a time in the calling thread; coroutine methods on its event loop. Handshakes, method lists
    and methods marked with `while_busy` are answered meanwhile by another thread. A signal lets a running call
    finish; a second one interrupts it with KeyboardInterrupt.

    Args:
        targets: Objects by name, see `Server`.
        host: Name or address to listen on, several of them, or None for all interfaces.
        port: TCP port.
        description: Text for people.
        allow_parallel: Let coroutine methods of several connections overlap.
        ssl_config: TLS, if any.
        loop: Event loop to run on; by default a new one, uvloop's where it exists.
        limits: What clients can make the server hold.

    Raises:
        OSError: The address cannot be listened on, or a TLS file cannot be read.
        SystemExit: A method raised it.

    """
    own = loop is None
    running = new_event_loop() if loop is None else loop
    server = Server(targets, description, True, allow_parallel, limits=limits)
    try:
        if own:
            asyncio.set_event_loop(running)
        running.run_until_complete(_serve(server, host, port, ssl_config))
    finally:
        if own:
            _close(running)
    if server.exit_code is not None:
        raise SystemExit(server.exit_code)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, of uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _serve(
    server: Server, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None
) -> None:
    with _signals(server, asyncio.get_running_loop()):
        try:
            await server.start(host, port, ssl_config)
            await server.wait_terminate()
        finally:
            await server.stop()


@contextlib.contextmanager
def _signals(server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let signals end the server. Only the main thread of a program gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        _log.info("%s: the server ends", signal.Signals(number).name)
        loop.call_soon_threadsafe(server.terminate)

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    previous = {
        number: signal.signal(number, handle)
        for name in names
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: a handler that was not set from Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what a driver left running on the loop, and close it."""
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=5.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()

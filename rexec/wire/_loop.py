"""`simple_server_loop`: a controller's main function."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from rexec.ground.signals import ending_signals, handlers_set
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

    """
    own = loop is None
    running = new_event_loop() if loop is None else loop
    server = Server(targets, description, True, allow_parallel, limits=limits)
    try:
        if own:
            asyncio.set_event_loop(running)
        _run(running, server, _serve(server, host, port, ssl_config))
    finally:
        if own:
            _close(running)


def _run(loop: asyncio.AbstractEventLoop, server: Server, serving: Coroutine[Any, Any, None]) -> None:
    """Run the loop until the server has ended.

    asyncio lets a SystemExit or KeyboardInterrupt of any task, such as one that a driver has started, end the loop.
    """
    main = loop.create_task(serving)
    while True:
        try:
            loop.run_until_complete(main)
        except (KeyboardInterrupt, SystemExit) as error:
            if main.done() or server.ends:
                raise
            _log.error("a task of the driver raised %r: the server goes on", error)
        else:
            return


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

    with handlers_set(dict.fromkeys(ending_signals(), handle)):
        yield


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

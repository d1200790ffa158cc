"""Servers in a thread of the test, silent ones, and ports at which nobody listens."""

import asyncio
import atexit
import contextlib
import errno
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any, Final

from rexec.ground.loop_thread import LoopThread
from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig


@contextlib.contextmanager
def running(
    targets: Mapping[str, Any], ssl_config: SimpleSSLConfig | None = None, port: int = 0, **keywords: Any
) -> Iterator[Server]:
    """Serve targets on loopback while the context lasts, or until a client terminates it; yields the server.

    Args:
        targets: Objects by name.
        ssl_config: TLS, if any.
        port: TCP port; 0: the system gives one.
        keywords: Further ones of `Server`.

    """
    server = Server(targets, builtin_terminate=True, **keywords)

    @contextlib.asynccontextmanager
    async def listening() -> AsyncIterator[None]:
        await server.start("127.0.0.1", port, ssl_config)
        async with ending(thread, server.wait_terminate()):
            try:
                yield
            finally:
                await server.stop()

    thread = LoopThread(listening, name="server under test", timeout=150.0)
    with thread:
        yield server
    assert thread.wait(0.0), "the server has not ended"


@contextlib.asynccontextmanager
async def ending(thread: LoopThread[Any], asked: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """End a thread as soon as a coroutine of its loop has ended; the context cancels that."""
    task = asyncio.create_task(asked)
    task.add_done_callback(lambda _: thread.end())
    try:
        yield
    finally:
        task.cancel()


@contextlib.contextmanager
def serving(
    targets: Mapping[str, Any],
    port: int = 0,
    *,
    description: str | None = None,
    ssl_config: SimpleSSLConfig | None = None,
) -> Iterator[int]:
    """Serve targets on loopback while the context lasts; yields the port."""
    with running(targets, ssl_config, port, description=description) as server:
        yield server.port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Listen and never say a word; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


_HELD: Final[list[socket.socket]] = []


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port at which nobody listens, and that the system gives to nobody else while the test runs.

    The port stays bound without a listener: connections are refused, and a server that is told this port can still
    have it, since servers bind with SO_REUSEADDR as this does. A port that is freed first may be given away before
    the server starts. It is bound at both loopback addresses, because a server that listens at both would else find
    that a connection of somebody else has it at the other one. Windows shares no port with our servers, so there it
    is freed; it is outside the range from which the system chooses.
    """
    if sys.platform == "win32":
        return _port_outside_the_dynamic_range(host)
    while True:
        held = _bound(host, 0)
        port = int(held.getsockname()[1])
        try:
            other = _bound("127.0.0.1" if ":" in host else "::1", port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                held.close()
                continue
            other = None  # this system has one kind of address
        if not _HELD:
            atexit.register(_release)
        _HELD.extend(each for each in (held, other) if each is not None)
        return port


def _port_outside_the_dynamic_range(host: str) -> int:
    """Return a free port below those that Windows, or Linux under Wine, chooses for a program."""
    for _ in range(99):
        port = 10_000 + secrets.randbelow(22_000)
        with contextlib.suppress(OSError), _bound(host, port):
            return port
    raise OSError(f"no port is free at {host}")


def _bound(host: str, port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    return held


def _release(first: int = 0) -> None:
    while len(_HELD) > first:
        _HELD.pop().close()


@contextlib.contextmanager
def ports_released() -> Iterator[None]:
    """Give back the ports that `free_port` is asked for in the block."""
    before = len(_HELD)
    try:
        yield
    finally:
        _release(before)


def can_be_taken_over(address: tuple[str, int]) -> bool:
    """Return whether another program can listen at an address, too: on Windows, unless the port is exclusive.

    Elsewhere SO_REUSEADDR shares no port that is listened on.
    """
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            thief.bind(address)
            thief.listen()
        except OSError:
            return False
    return True

"""Servers in a thread of the test, silent ones, and ports at which nobody listens."""

import asyncio
import atexit
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig


@contextlib.contextmanager
def running(
    targets: Mapping[str, Any], ssl_config: SimpleSSLConfig | None = None, **keywords: Any
) -> Iterator[Server]:
    """Serve targets on loopback while the context lasts; yields the server.

    Args:
        targets: Objects by name.
        ssl_config: TLS, if any.
        keywords: Further ones of `Server`.

    """
    server = Server(targets, builtin_terminate=True, **keywords)
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        await server.start("127.0.0.1", 0, ssl_config)
        loops.append(asyncio.get_running_loop())
        ready.set()
        try:
            await server.wait_terminate()
        finally:
            await server.stop()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="server under test")
    thread.start()
    try:
        assert ready.wait(20.0)
        assert loops, "the server did not start"
        yield server
    finally:
        with contextlib.suppress(RuntimeError, IndexError):  # it has ended already, or never began
            loops[0].call_soon_threadsafe(server.terminate)
        thread.join(20.0)
        assert not thread.is_alive()


@contextlib.contextmanager
def serving(
    targets: Mapping[str, Any], *, description: str | None = None, ssl_config: SimpleSSLConfig | None = None
) -> Iterator[int]:
    """Serve targets on loopback while the context lasts; yields the port."""
    with running(targets, ssl_config, description=description) as server:
        yield server.port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Listen and never say a word; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


_HELD: Final[list[socket.socket]] = []


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port at which nobody listens, and that the system gives to nobody else while this process lives.

    The port stays bound without a listener: connections are refused, and a server that is told this port can still
    have it, since servers bind with SO_REUSEADDR as this does. A port that is freed first may be given away before
    the server starts.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, 0))
    if not _HELD:
        atexit.register(_release)
    _HELD.append(held)
    return int(held.getsockname()[1])


def _release() -> None:
    for held in _HELD:
        held.close()

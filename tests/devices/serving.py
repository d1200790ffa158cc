"""A server of targets in a thread of its own, for tests of what connects to one."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig


@contextmanager
def serving(targets: dict[str, Any], ssl_config: SimpleSSLConfig | None = None) -> Iterator[int]:
    """Serve on a port of loopback that the system gives; yields the port."""
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def main() -> None:
        server = Server(targets)
        await server.start("127.0.0.1", 0, ssl_config)
        state.update(port=server.port, loop=asyncio.get_running_loop(), end=asyncio.Event())
        ready.set()
        try:
            await state["end"].wait()
        finally:
            await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("the server did not start")
    try:
        yield state["port"]
    finally:
        state["loop"].call_soon_threadsafe(state["end"].set)
        thread.join(10)


@contextmanager
def silent() -> Iterator[int]:
    """Listen and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port

"""Serves the target `ctlmgr` from its own thread."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rexec.ground.loop_thread import LoopThread
from rexec.supervise.errors import ControlPortError
from rexec.wire.pc_rpc import Server


class ControlServer:
    """The server of the control target.

    Args:
        target: The target.
        bind: Addresses to listen on.
        port: TCP port; 0: chosen by the system.
        terminate: Called when a client calls `terminate`.

    Raises:
        ControlPortError: The port cannot be opened.

    """

    def __init__(self, target: Any, bind: Sequence[str], port: int, terminate: Callable[[], None]) -> None:
        server = Server({"ctlmgr": target}, "controller manager of rexec", builtin_terminate=True)
        self._thread = LoopThread(lambda: _serving(server, bind, port, terminate), name="ctlmgr")
        try:
            self._thread.start()
        except OSError as error:
            hint = (
                ". Does another controller manager run here? Choose another port with --port-control"
                if error.errno == errno.EADDRINUSE
                else ""
            )
            raise ControlPortError(
                f"control port {port} cannot be opened on {', '.join(bind)}: {error.strerror or error}{hint}"
            ) from error
        self.port = server.port

    def close(self) -> None:
        """Stop serving."""
        self._thread.close()


@asynccontextmanager
async def _serving(
    server: Server, bind: Sequence[str], port: int, terminate: Callable[[], None]
) -> AsyncIterator[None]:
    async def end_when_asked() -> None:
        await server.wait_terminate()
        terminate()

    await server.start(list(bind), port)
    asked = asyncio.create_task(end_when_asked())
    try:
        yield
    finally:
        asked.cancel()
        await server.stop()

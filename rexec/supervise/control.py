"""Serves the target `ctlmgr` from a thread of its own."""

import asyncio
import errno
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rexec.supervise.errors import ControlPortError
from rexec.wire.pc_rpc import Server


class ControlServer:
    """The server of the control target.

    Args:
        target: The target.
        bind: Addresses to listen on.
        port: TCP port; 0: the system gives one.
        terminate: Called when a client asks to end.

    Raises:
        ControlPortError: The port cannot be had.

    """

    def __init__(self, target: Any, bind: Sequence[str], port: int, terminate: Callable[[], None]) -> None:
        self._server = Server({"ctlmgr": target}, "controller manager of rexec", builtin_terminate=True)
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        try:
            self._loop.run_until_complete(self._server.start(list(bind), port))
        except OSError as error:
            self._loop.close()
            hint = (
                ". Does another controller manager run here? Choose another port with --port-control"
                if error.errno == errno.EADDRINUSE
                else ""
            )
            raise ControlPortError(
                f"control port {port} cannot be opened on {', '.join(bind)}: {error.strerror or error}{hint}"
            ) from error
        self.port = self._server.port
        self._terminate = terminate
        self._thread = threading.Thread(target=self._run, name="ctlmgr", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10.0)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        asked = asyncio.ensure_future(self._server.wait_terminate())
        end = asyncio.ensure_future(self._end.wait())
        await asyncio.wait([asked, end], return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            self._terminate()
        await end
        asked.cancel()
        await self._server.stop()

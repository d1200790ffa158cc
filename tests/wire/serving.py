"""Servers for tests: in a thread with an event loop of its own, on a port that the system gives."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rexec.wire.pc_rpc import Server, while_busy
from rexec.wire.tls import SimpleSSLConfig


class Drv:
    """A driver."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.holding = threading.Event()
        self.together = asyncio.Event()
        self.inside = 0

    @while_busy
    def ping(self) -> bool:
        """Always true."""
        return True

    def add(self, a: float, b: float = 2, *args: float, scale: "float" = 1.0, **kw: float) -> float:
        """Adds."""
        self.threads.add(threading.get_ident())
        return (a + b) * scale

    def echo(self, x: Any) -> Any:
        return x

    def frame(self) -> Any:
        return np.arange(6, dtype="<u2").reshape(2, 3)

    async def acall(self) -> str:
        await asyncio.sleep(0)
        return "async"

    async def wait(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def meet(self, seconds: float) -> bool:
        """Return whether another call of this method runs meanwhile."""
        self.inside += 1
        if self.inside == 2:
            self.together.set()
        try:
            await asyncio.wait_for(self.together.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self.inside -= 1
        return True

    def fail(self) -> None:
        raise ValueError("bad value")

    def fail_chained(self) -> None:
        try:
            dict[str, int]()["inner"]
        except KeyError as error:
            raise RuntimeError("outer") from error

    def fail_custom(self) -> None:
        class Custom(Exception):
            pass

        raise Custom("odd")

    def keyerr(self) -> None:
        dict[str, int]()["k"]

    def undecodable(self) -> None:
        b"\xff".decode("utf-8")

    def unser(self) -> Any:
        return object()

    def deep_unser(self) -> Any:
        return {"fits": [1, 2, 3, object()]}

    def leave(self) -> None:
        raise SystemExit(7)

    def _private(self) -> str:
        return "private"

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def hold(self) -> bool:
        """Return once the test opens the gate."""
        self.holding.set()
        return self.gate.wait(20)


@contextlib.contextmanager
def serving(
    targets: Mapping[str, Any], ssl_config: SimpleSSLConfig | None = None, **keywords: Any
) -> Iterator[Server]:
    """Serve targets until the end of the block."""
    started: threading.Event = threading.Event()
    found: list[Any] = []

    async def main() -> None:
        server = Server(targets, builtin_terminate=True, **keywords)
        await server.start("127.0.0.1", 0, ssl_config)
        loop = asyncio.get_running_loop()
        found[:] = [server, loop]
        started.set()
        try:
            await server.wait_terminate()
        finally:
            await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="test-server")
    thread.start()
    try:
        assert started.wait(10)
        yield found[0]
    finally:
        if found:
            with contextlib.suppress(RuntimeError):  # a test has ended it already
                found[1].call_soon_threadsafe(found[0].terminate)
        thread.join(20)
        assert not thread.is_alive()

"""The driver that the tests of the wire call."""

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from rexec.wire.errors import CallTimeout
from rexec.wire.pc_rpc import Client, while_busy


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
        return self.gate.wait(150)


def give_up_a_call(client: Client, drv: Drv) -> None:
    """Have a call of a client time out; the driver stays in it until then, however slow the machine is."""
    drv.gate.clear()
    with pytest.raises(CallTimeout):
        client.rpc_call("hold", (), timeout=0.05)
    drv.gate.set()

"""One schedule of faults, played: calls through a faulty proxy, each with an answer that belongs to it alone."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from rexec.ground.loop_thread import LoopThread
from rexec.wire._protocol import FEATURES, PYON_V2
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AsyncioClient, Client
from tests.serving import running
from tests.wire.driver import Drv
from tests.wire.faulty import Fault, Proxy, Schedule

DEADLINE = 0.06
GRACE = 2.0
"""What a loaded machine may add to a deadline, in seconds, beside the pauses that `Pulse` sees."""

_FAULTS = st.builds(
    Fault,
    st.integers(0, 2200),
    st.sampled_from(["delay", "stall", "cut", "split", "split", "repeat", "delay"]),
)
SCHEDULES = st.lists(
    st.builds(
        Schedule,
        st.lists(_FAULTS.filter(lambda fault: fault.kind != "repeat"), max_size=2).map(tuple),
        st.lists(_FAULTS, max_size=3).map(tuple),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
MODES = ["blocking", "asyncio", "blocking-v2", "blocking-v1"]
_tokens = itertools.count(random.randrange(1 << 30) << 20)


@dataclass
class Outcome:
    """What became of the calls of a schedule."""

    right: int = 0
    failed: int = 0
    longest: float = 0.0
    deadline: float = DEADLINE
    """Of each call, in seconds."""


class Wrong(AssertionError):
    """A call returned something else than its own answer, or waited past its deadline."""


class Pulse:
    """A thread that only sleeps and wakes: where it did not get the processor, no call did either."""

    def __init__(self) -> None:
        self._pauses: list[tuple[float, float]] = []
        self._last = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse")
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            now = time.monotonic()
            if now - self._last > 0.1:
                self._pauses.append((self._last, now))
            self._last = now

    def missed(self, begin: float) -> float:
        """Return the seconds since then in which this process stood still."""
        pauses = [*self._pauses, (self._last, time.monotonic())]
        return sum(end - max(start, begin) for start, end in pauses if end > begin)

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(150)


def _check(token: int, answer: object, begin: float, outcome: Outcome, pulse: Pulse) -> None:
    took = time.monotonic() - begin - pulse.missed(begin)
    outcome.longest = max(outcome.longest, took)
    if took > outcome.deadline + GRACE:
        raise Wrong(f"a call with a deadline of {outcome.deadline} s took {took:.2f} s")
    if answer is None:
        outcome.failed += 1
        return
    if not (
        isinstance(answer, list) and answer[0] == token and np.array_equal(answer[1], np.full(40, token))
    ):
        raise Wrong(f"the call with {token} got {answer!r:.200}")
    outcome.right += 1


def _blocking(port: int, calls: int, features: tuple[str, ...], outcome: Outcome, pulse: Pulse) -> None:
    client: Client | None = None
    for _ in range(calls):
        token = next(_tokens)
        begin = time.monotonic()
        answer: object = None
        with contextlib.suppress(WireError):
            if client is None:
                client = Client(port=port, host="127.0.0.1", target_name="drv", handshake_timeout=outcome.deadline,
                                call_timeout=outcome.deadline, reconnect_timeout=0.0, features=features)  # fmt: skip
                begin = time.monotonic()
            answer = client.echo([token, np.full(40, token)])
        _check(token, answer, begin, outcome, pulse)
    if client is not None:
        client.close_rpc()


async def _asyncio(port: int, calls: int, outcome: Outcome, pulse: Pulse) -> None:
    client = AsyncioClient(
        handshake_timeout=outcome.deadline, call_timeout=outcome.deadline, reconnect_timeout=0.0
    )
    connected = False
    for _ in range(calls):
        token = next(_tokens)
        begin = time.monotonic()
        answer: object = None
        with contextlib.suppress(WireError):
            if not connected:
                await client.connect_rpc("127.0.0.1", port, "drv")
                connected = True
            answer = await client.echo([token, np.full(40, token)])
        _check(token, answer, begin, outcome, pulse)
    await client.close_rpc()


class Arena:
    """A server and a loop for proxies, kept over many schedules."""

    def __init__(self, port: int, proxies: LoopThread[None], pulse: Pulse) -> None:
        self._port = port
        self._pulse = pulse
        self._proxies = proxies

    def play(
        self, schedules: list[Schedule], mode: str, calls: int = 3, deadline: float = DEADLINE
    ) -> Outcome:
        """Make calls through a proxy with a schedule.

        Args:
            schedules: One a connection.
            mode: One of `MODES`.
            calls: How many.
            deadline: Of each call, in seconds.

        Raises:
            Wrong: A call got a wrong result, or waited past its deadline.
        """
        proxy = Proxy(self._port, schedules)
        port = self._proxies.call(proxy.start)
        outcome = Outcome(deadline=deadline)
        try:
            if mode == "asyncio":
                self._proxies.call(_asyncio, port, calls, outcome, self._pulse)
            else:
                features = {"blocking": FEATURES, "blocking-v2": (PYON_V2,), "blocking-v1": ()}[mode]
                _blocking(port, calls, features, outcome, self._pulse)
        finally:
            self._proxies.call(proxy.stop)
        return outcome


@contextlib.contextmanager
def arena() -> Iterator[Arena]:
    """Run a server, and a loop for proxies in a thread."""
    pulse = Pulse()
    proxies = LoopThread(_nothing, name="proxies")
    try:
        with proxies, running({"drv": Drv()}) as server:
            yield Arena(server.port, proxies, pulse)
    finally:
        pulse.end()


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield

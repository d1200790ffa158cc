"""One simulated controller: a server in a thread with an event loop of its own."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rexec.ground.loop_thread import LoopThread
from rexec.record.recording import Replayer
from rexec.remote_exec import RemoteExecServer, close_global_clients, rexec_targets
from rexec.simulate.behaviours import Behaviours
from rexec.simulate.device import Call
from rexec.simulate.driver import DriverSpec, Replay, SimulatedDriver, make_driver
from rexec.simulate.errors import SimulationError
from rexec.simulate.faults import End, Faults
from rexec.simulate.plan import ServerPlan, TargetPlan
from rexec.simulate.replaying import ReplayingRexec
from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerSources:
    """Where the simulated drivers of a server get their answers and faults from.

    Attributes:
        behaviours: What devices do.
        replays: Recorded answers, by target's name, of this server.
        seed: Of faults.
        remote_replays: Recorded calls of remote functions, by target's name.
        timing: Whether those take as long as they took.

    """

    behaviours: Behaviours
    replays: Mapping[str, Replay]
    seed: int = 0
    remote_replays: Mapping[str, Replayer] = field(default_factory=dict)
    timing: bool = False


class _Server(Server):
    """A server with a silent state: it accepts connections and reads, but does not answer."""

    silent = False

    def frame_received(self, link: Any, frame: Any) -> bool:
        """Handle a message, or drop it in the silent state."""
        return False if self.silent else super().frame_received(link, frame)


class SimulatedServer:
    """A simulated controller.

    Args:
        plan: What it is.
        sources: Where its drivers get their answers from.
        host: Where to listen.
        port: TCP port; 0: a free one, kept over a restart.
        tls: Files of its side, None: no TLS.

    """

    def __init__(
        self,
        plan: ServerPlan,
        sources: AnswerSources,
        host: str | Sequence[str],
        port: int,
        tls: SimpleSSLConfig | None = None,
    ) -> None:
        self.plan: Final = plan
        self.host: Final = host
        self.port = port
        self._sources = sources
        self._tls = tls
        self.faults: Final = {name: Faults(name, sources.seed) for name in plan.targets}
        """Faults by target."""
        self.drivers: dict[str, SimulatedDriver] = {}
        self.state = "not started"
        self._run: _Run | None = None
        self.targets = self._make_targets()

    def start(self) -> None:
        """Start, and return once the server listens; nothing is done if it runs.

        Raises:
            SimulationError: It cannot listen.

        """
        if self._run is not None and not self._run.ended.is_set():
            return
        run = _Run(self, self.targets)
        try:
            run.start()
        except OSError as error:
            hint = ". Simulate on loopback with --loopback" if self.host == self.plan.host else ""
            raise SimulationError(f"{self.name}: {error.strerror or error}{hint}") from error
        self._run = run
        self.port = run.server.port
        self.state = "running"

    @property
    def address(self) -> str:
        """Address for clients of this computer."""
        return self.host if isinstance(self.host, str) else self.host[0]

    @property
    def name(self) -> str:
        """Its controllers, for messages."""
        return ", ".join(self.plan.controllers)

    def calls(self, target: str) -> list[Call]:
        """Return the last calls of a target's driver, oldest first."""
        return list(self.drivers[target].calls)

    def fall(self, how: End) -> None:
        """Die or fall silent."""
        run = self._run
        if run is not None:
            self.state = "dead" if how == "death" else "silent"
            logger.info("%s: simulated %s", self.name, how)
            run.server.silent = True
            if how == "death":
                run.abort()

    def _fall_in_call(self, how: End) -> None:
        """Die or fall silent in a call, which waits for the end of the server so that it gets no answer."""
        run = self._run
        self.fall(how)
        if run is not None:
            run.ended.wait()

    def revive(self) -> None:
        """Start again at the same port, with fresh drivers, as a restarted controller has."""
        self.close()
        self.targets = self._make_targets()
        self.start()

    def close(self) -> None:
        """End the server; a call that still runs gets no answer."""
        if self._run is not None:
            self._run.close()
            self._run = None
        self.state = "ended"

    def _make_targets(self) -> dict[str, Any]:
        targets: dict[str, Any] = {}
        self.drivers = {}
        for name, target in self.plan.targets.items():
            if target.driver is not None and target.driver in self.plan.targets:
                continue
            self.drivers[name] = driver = make_driver(self._spec(target))
            targets[name] = driver.object
            remote = self.plan.targets.get(f"{name}_rexec")
            if remote is not None:
                targets |= rexec_targets(name, driver.object, self._namespace_class(remote))
        return targets

    def _spec(self, target: TargetPlan) -> DriverSpec:
        replay = self._sources.replays.get(target.name)
        return DriverSpec(
            device=target.names[0],
            facts=target.facts,
            faults=self.faults[target.name],
            behaviour=self._sources.behaviours.of(target.names),
            replay=replay,
            remote=self._sources.remote_replays.get(f"{target.name}_rexec"),
            end=self._fall_in_call,
        )

    def _namespace_class(self, target: TargetPlan) -> Callable[[dict[str, Any]], RemoteExecServer]:
        replay = self._sources.replays.get(target.name)
        if replay is None:
            return RemoteExecServer
        remote = self._sources.remote_replays.get(target.name)
        return lambda namespace: ReplayingRexec(namespace, replay, remote, self._sources.timing)


class _Run:
    """One life of a server, in its thread."""

    def __init__(self, owner: SimulatedServer, targets: Mapping[str, Any]) -> None:
        self.ended: Final = threading.Event()
        """Answer nothing from now on."""
        self.server: Final = _Server(targets, describe(owner.plan), builtin_terminate=True)
        self._owner = owner
        self._targets = targets
        self._thread = LoopThread(self._serving, name=f"simulated {owner.name}")

    def start(self) -> None:
        """Return once the server listens; OSError if it cannot."""
        self._thread.start()

    def abort(self) -> None:
        """Close all sockets; calls that run are not interrupted."""
        self.server.abort()
        self.ended.set()
        self._thread.end()

    def close(self) -> None:
        """End the server, and wait for its thread only briefly, because a call may hang in it."""
        self.abort()
        self._thread.wait(1.0)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        owner = self._owner
        await self.server.start(owner.host, owner.port, owner._tls)  # noqa: SLF001  # of this module
        asked = asyncio.create_task(self.server.wait_terminate())
        asked.add_done_callback(lambda _: self._thread.end())
        try:
            yield
        finally:
            asked.cancel()
            self.ended.set()
            await self.server.stop()
            for name, target in self._targets.items():
                if name.endswith("_rexec") and callable(target):
                    close_global_clients(target)


def describe(plan: ServerPlan) -> str:
    """Return the description of a simulated server, which says that it is simulated."""
    return f"SIMULATED by rexec simulate: {', '.join(plan.controllers)}. No value of it is measured"

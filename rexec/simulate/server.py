"""One simulated controller: a server with a thread and an event loop of its own, as a real one has."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.remote_exec import RemoteExecServer, close_global_clients, rexec_targets
from rexec.simulate.behaviours import Behaviours
from rexec.simulate.driver import Call, Part, Performer, Replay, make_driver
from rexec.simulate.errors import NotRecorded, SimulationError
from rexec.simulate.faults import End, Faults
from rexec.simulate.plan import ServerPlan, TargetPlan
from rexec.wire.pc_rpc import Server
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

START_TIMEOUT: Final = 30.0
"""Longest time, in seconds, until a simulated controller listens."""


@dataclass(frozen=True)
class Made:
    """What simulated drivers are made from.

    Attributes:
        behaviours: What devices do.
        replays: Recorded answers, by target's name, of this server.
        seed: Of faults.

    """

    behaviours: Behaviours
    replays: Mapping[str, Replay]
    seed: int = 0


class _Server(Server):
    """A server that can fall silent: it still accepts connections and reads, but answers nothing."""

    silent = False

    def frame_received(self, link: Any, frame: Any) -> bool:
        """Handle a message, or leave it without an answer for ever."""
        return False if self.silent else super().frame_received(link, frame)


class SimulatedServer:
    """A simulated controller.

    Args:
        plan: What it is.
        made: What its drivers are made from.
        host: Where to listen.
        port: TCP port; 0: the system gives one, which is kept over a restart.
        tls: Files of its side, None: no TLS.

    """

    def __init__(
        self,
        plan: ServerPlan,
        made: Made,
        host: str | Sequence[str],
        port: int,
        tls: SimpleSSLConfig | None = None,
    ) -> None:
        self.plan: Final = plan
        self.host: Final = host
        self.port = port
        self._made = made
        self._tls = tls
        self.faults: Final = {name: Faults(name, made.seed) for name in plan.targets}
        """Faults by target."""
        self.performers: dict[str, Performer] = {}
        self.state = "not started"
        self._run: _Run | None = None
        self.targets = self._make_targets()

    def start(self) -> None:
        """Begin to start; `wait` tells when it is done."""
        if self._run is None or self._run.ended.is_set():
            self._run = _Run(self, self.targets)

    def wait(self) -> None:
        """Return once the server listens.

        Raises:
            SimulationError: It cannot.

        """
        run = self._run
        if run is None or not run.ready.wait(START_TIMEOUT):
            raise SimulationError(f"the simulation of {self.name} did not start within {START_TIMEOUT:g} s")
        if run.failure is not None:
            reason = run.failure.strerror or str(run.failure)
            hint = ". Simulate on loopback with --loopback" if self.host == self.plan.host else ""
            raise SimulationError(f"{self.name}: {reason}{hint}") from run.failure
        self.port = run.server.port
        self.state = "running"

    @property
    def name(self) -> str:
        """How messages name it."""
        return ", ".join(self.plan.controllers)

    def calls(self, target: str) -> list[Call]:
        """Return the last calls of a target's driver, oldest first."""
        return list(self.performers[target].calls)

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
        """Die or fall silent from a call, which is not to be answered: it waits for the server's end."""
        run = self._run
        self.fall(how)
        if run is not None:
            run.ended.wait()

    def revive(self) -> None:
        """Start again at the same port, with fresh drivers, as a restarted controller has."""
        self.close()
        self.targets = self._make_targets()
        self.start()
        self.wait()

    def close(self) -> None:
        """End the server; a call that still runs is left to end by itself, unanswered."""
        if self._run is not None:
            self._run.close()
            self._run = None
        self.state = "ended"

    def _make_targets(self) -> dict[str, Any]:
        targets: dict[str, Any] = {}
        self.performers = {}
        for name, target in self.plan.targets.items():
            if target.driver is not None and target.driver in self.plan.targets:
                continue
            self.performers[name] = performer = make_driver(self._part(target))
            targets[name] = performer.driver
            remote = self.plan.targets.get(f"{name}_rexec")
            if remote is not None:
                targets |= rexec_targets(name, performer.driver, self._namespace_class(remote))
        return targets

    def _part(self, target: TargetPlan) -> Part:
        replay = self._made.replays.get(target.name)
        return Part(
            device=target.names[0],
            facts=target.facts,
            faults=self.faults[target.name],
            behaviour=self._made.behaviours.of(target.names),
            replay=replay,
            end=self._fall_in_call,
        )

    def _namespace_class(self, target: TargetPlan) -> Callable[[dict[str, Any]], RemoteExecServer]:
        replay = self._made.replays.get(target.name)
        if replay is None:
            return RemoteExecServer
        return lambda namespace: ReplayingRexec(namespace, replay)


class ReplayingRexec(RemoteExecServer):
    """Remote execution of a recorded controller: code runs on the simulated driver.

    Where it asks that for something that was never recorded, the recorded answer to the whole call takes its place.

    Args:
        initial_namespace: As of the base.
        replay: The recorded calls of the remote execution target.

    """

    def __init__(self, initial_namespace: dict[str, Any], replay: Replay) -> None:
        super().__init__(initial_namespace)
        self._replay = replay

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function as the base does, or answer as it was recorded."""
        try:
            return super().call(function, *args, **kwargs)
        except NotRecorded as error:
            found, value = self._replay.answer("call", (function, *args), kwargs)
            if not found:
                raise
            logger.info("%s(): answered from the recording, since %s", function, error)
            return value


class _Run:
    """One life of a server, in its thread."""

    def __init__(self, owner: SimulatedServer, targets: Mapping[str, Any]) -> None:
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.failure: OSError | None = None
        self.server = _Server(targets, describe(owner.plan), builtin_terminate=True)
        self._owner = owner
        self._targets = targets
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=f"simulated {owner.name}", daemon=True)
        self._thread.start()

    def abort(self) -> None:
        """Close all sockets; what runs is left to end by itself."""
        self.server.abort()
        self.ended.set()
        self._tell_end()

    def close(self) -> None:
        """End the server, and wait for its thread for a moment."""
        self.abort()
        self._thread.join(1.0)

    def _tell_end(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._end.set)

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self.failure = error
        finally:
            for name, target in self._targets.items():
                if name.endswith("_rexec") and callable(target):
                    close_global_clients(target)
            self.ended.set()
            self.ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        owner = self._owner
        await self.server.start(owner.host, owner.port, owner._tls)  # noqa: SLF001  # of this module
        self.ready.set()
        waits = [asyncio.ensure_future(self.server.wait_terminate()), asyncio.ensure_future(self._end.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await self.server.stop()


def describe(plan: ServerPlan) -> str:
    """Return what a simulated server says of itself: that it is none."""
    return f"SIMULATED by rexec simulate: {', '.join(plan.controllers)}. No value of it is measured"

"""A whole simulated laboratory, in this process: for tests, and for the commands that simulate.

Example::

    with laboratory("device_db.py", behaviours="behaviours.py") as lab:
        camera = lab.get_device("camera")  # a real client of a simulated controller
        lab.die("camera")
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase, from_dict, load_file
from devicedb.suggest import did_you_mean
from rexec.devices import DeviceManager
from rexec.simulate.behaviours import Behaviours, check_names, load_behaviours
from rexec.simulate.control import Control
from rexec.simulate.database import CONTROL, rewritten, write_database
from rexec.simulate.driver import Call, origins
from rexec.simulate.errors import FaultError, SimulationError
from rexec.simulate.faults import Fault, parse_fault
from rexec.simulate.local import remember
from rexec.simulate.plan import ServerPlan, make_plan
from rexec.simulate.recording import Recording, load_recordings
from rexec.simulate.server import Made, SimulatedServer
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"


class Laboratory:
    """Simulated controllers of a device database. A context: they start when it is entered and end with it.

    Args:
        database: The device database.
        names: Controllers, aliases or targets to which it is limited; none: all.
        behaviours: What devices do.
        recordings: Recordings to answer from.
        faults: Faults from the start: "camera:delay=2".
        seed: Of faults: the same seed gives the same ones.
        experiments: Files or folders of experiments: what they call is there where nothing else is known.
        loopback: Listen on loopback at ports that the system gives; else where the real controllers are.
        tls: Files of the servers' side, for controllers that speak TLS.
        control_port: Port of the control target; 0: the system gives one.
        others: Controllers that are simulated elsewhere, with host and port.

    Raises:
        SimulationError: Something given is wrong.
        DeviceDBError: A name is.

    """

    def __init__(
        self,
        database: DeviceDatabase,
        names: Iterable[str] = (),
        *,
        behaviours: Behaviours | None = None,
        recordings: Sequence[Recording] = (),
        faults: Iterable[str] = (),
        seed: int = 0,
        experiments: Iterable[Path] = (),
        loopback: bool = True,
        tls: SimpleSSLConfig | None = None,
        control_port: int = 0,
        others: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.original: Final = database
        self.behaviours: Final = behaviours or Behaviours()
        self._others = dict(others or {})
        self.plans: Final = make_plan(database, names, experiments=experiments)
        plans = [plan for plan in self.plans if not self._others.keys() & set(plan.controllers)]
        for recording in recordings:  # it heard the real controllers: it knows best
            plans = [plan.with_facts(recording.facts(plan.controllers)) for plan in plans]
        check_names(self.behaviours, database, [name for plan in plans for name in plan.targets])
        self.servers: Final = [_server(plan, self, recordings, seed, loopback, tls) for plan in plans]
        self._loopback = loopback
        self._control_port = control_port
        self.control: Final = Control(self)
        """What clients of the device `simulation` use: `fault`, `clear`, `die`, `revive`."""
        self._control: SimulatedServer | None = None
        self._manager: DeviceManager | None = None
        self.database: DeviceDatabase = database
        """The database of the simulation, once it runs."""
        self._first: dict[str, Fault] = {}
        for text in faults:
            device, fault = parse_fault(text)
            self._first[device] = self._first.get(device, Fault()) | fault
        for device, fault in self._first.items():
            self._place(device, fault)  # what is wrong with it is said before anything starts

    def start(self) -> None:
        """Start all servers; SimulationError where one cannot listen, and then none is left."""
        try:
            for server in self.servers:
                server.start()
            problems = []
            for server in self.servers:
                try:
                    server.wait()
                except SimulationError as error:
                    problems.append(str(error))
            if problems:
                raise SimulationError("\n".join(problems))
            self._control = _control_server(self, self._control_port)
            for device, fault in self._first.items():
                self.fault(device, fault)
        except BaseException:
            self.close()
            raise
        addresses = {
            name: (_host(server), server.port) for server in self.servers for name in server.plan.controllers
        }
        raw = rewritten(
            self.original, {**self._others, **addresses}, (LOOPBACK, self.control_port),
            remember(self.behaviours), self.behaviours.classes,
        )  # fmt: skip
        # Its origin stays: that is where names are written, and where local drivers are imported from.
        self.database = from_dict(raw, self.original.origin)
        for server in self.servers:
            for name, performer in server.performers.items():
                logger.info(
                    "SIMULATED %s at %s:%d, target %s: %s",
                    server.name, _host(server), server.port, name, origins(performer.methods.values()),
                )  # fmt: skip

    @property
    def control_port(self) -> int:
        """Port of the control target, on loopback."""
        return self._control.port if self._control is not None else self._control_port

    def close(self) -> None:
        """Close the clients that this object gave out, and end all servers."""
        if self._manager is not None:
            self._manager.close_devices()
            self._manager = None
        for server in (*self.servers, *([self._control] if self._control is not None else [])):
            server.close()

    def __enter__(self) -> "Laboratory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_device(self, name: str) -> Any:
        """Return a device as an experiment gets it: a client of a simulated controller, a stand-in, a local driver."""
        if self._manager is None:
            self._manager = DeviceManager(self.database)
        return self._manager.get(name)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the database of the simulation into a file, and return its path."""
        raw = self.database.raw
        if self.behaviours.path is None:
            raw = {name: _without_behaviours(name, entry) for name, entry in raw.items()}
        title = f"SIMULATED devices, made by rexec simulate from {self.original.origin}: no value of them is measured."
        write_database(Path(path), raw, title)
        return Path(path)

    def driver(self, device: str) -> Any:
        """Return the simulated driver of a device; the attributes of its behaviour are its own."""
        server, target = self._find(device)
        return server.performers[target].driver

    def calls(self, device: str) -> list[Call]:
        """Return the last calls of a device's driver, oldest first."""
        server, target = self._find(device)
        return server.calls(target)

    def fault(self, device: str, fault: Fault) -> None:
        """Set the fault of a device, or of one of its methods: "camera.get_frame".

        Raises:
            FaultError: There is no such device or method.

        """
        server, target, method = self._place(device, fault)
        is_silent = fault.silence == 0  # now, not at a call: it is over with the server's next start
        server.faults[target].set(method, replace(fault, silence=None) if is_silent else fault)
        if is_silent:
            server.fall("silence")

    def _place(self, device: str, fault: Fault) -> tuple[SimulatedServer, str, str | None]:
        """Where a fault belongs: server, target and method; FaultError where that cannot be."""
        server, target, method = self._method(device)
        known = server.performers[target].methods
        ends = fault.delay or fault.death is not None or fault.silence is not None
        if method is not None and known[method].while_busy and ends:
            raise FaultError(
                f"fault of {device}: {method} is answered beside all calls, so that only error can be set for it. For "
                "the others name the device"
            )
        return server, target, method

    def clear(self, device: str) -> None:
        """Take the faults of a device, or of one of its methods, away."""
        server, target, method = self._method(device)
        server.faults[target].clear(method)

    def die(self, device: str) -> None:
        """Let the controller of a device die."""
        self._find(device)[0].fall("death")

    def revive(self, device: str) -> None:
        """Start the controller of a device again, with fresh drivers, at the same port."""
        self._find(device)[0].revive()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return state, address, targets and faults of each simulated controller."""
        return {
            name: {
                "state": server.state,
                "host": _host(server),
                "port": server.port,
                "targets": sorted(server.plan.targets),
                "faults": {
                    f"{target}.{method}": asdict(fault)
                    for target, faults in server.faults.items()
                    for method, fault in faults.active().items()
                },
            }
            for server in self.servers
            for name in server.plan.controllers
        }

    def _find(self, device: str) -> tuple[SimulatedServer, str]:
        """The server and driver's target behind a device, an alias, or the name of a target."""
        entry = self.original.resolve(device).entry_name if device in self.original else device
        for server in self.servers:
            for name, target in server.plan.targets.items():
                if entry in target.names or (
                    entry in server.plan.controllers and len(server.performers) == 1
                ):
                    driver = target.driver if name not in server.performers else name
                    if driver is not None:
                        return server, driver
        known = [
            name
            for server in self.servers
            for target in server.plan.targets.values()
            for name in target.names
        ]
        raise FaultError(f"no device {device!r} is simulated here.{did_you_mean(device, known)}")

    def _method(self, device: str) -> tuple[SimulatedServer, str, str | None]:
        try:
            return (*self._find(device), None)
        except FaultError:
            before, dot, method = device.rpartition(".")
            if not dot:
                raise
        server, target = self._find(before)
        known = server.performers[target].methods
        if method not in known:
            raise FaultError(f"{before} has no method {method!r}.{did_you_mean(method, known)}")
        return server, target, method


@contextmanager
def laboratory(
    device_db: str | os.PathLike[str] | Mapping[str, Any] | DeviceDatabase,
    behaviours: str | os.PathLike[str] | Mapping[str, type[Any]] | None = None,
    *,
    recordings: Sequence[str | os.PathLike[str]] = (),
    timing: bool = False,
    **options: Any,
) -> Iterator[Laboratory]:
    """Simulate a laboratory while the context lasts.

    Args:
        device_db: A file, a dict, or a loaded database.
        behaviours: A file, or classes by the names of devices.
        recordings: Files that `rexec record` has made.
        timing: Whether recorded answers take as long as they took.
        options: As of `Laboratory`.

    Raises:
        SimulationError: Something given is wrong.
        DeviceDBError: The database cannot be loaded.

    """
    if isinstance(device_db, DeviceDatabase):
        database = device_db
    elif isinstance(device_db, Mapping):
        database = from_dict(dict(device_db), "a dict")
    else:
        database = load_file(device_db)
    if isinstance(behaviours, Mapping):
        behaves = Behaviours(behaviours)
    else:
        behaves = load_behaviours(behaviours) if behaviours is not None else Behaviours()
    made = Laboratory(
        database,
        behaviours=behaves,
        recordings=load_recordings([Path(each) for each in recordings], timing=timing),
        **options,
    )
    with made:
        yield made


def _server(
    plan: ServerPlan,
    owner: Laboratory,
    recordings: Sequence[Recording],
    seed: int,
    loopback: bool,
    tls: SimpleSSLConfig | None,
) -> SimulatedServer:
    if plan.tls is not None and not loopback and tls is None:
        raise SimulationError(
            f"{', '.join(plan.controllers)} at {plan.address} speaks TLS: give the server's side with "
            "--ssl CERT KEY PEER, or simulate on loopback without TLS with --loopback"
        )
    if plan.tls is not None and loopback:
        logger.info("%s: simulated without TLS, on loopback", ", ".join(plan.controllers))
    replays = {
        name: each for recording in recordings for name, each in recording.replays(plan.controllers).items()
    }
    made = Made(owner.behaviours, replays, seed)
    host, port = (LOOPBACK, 0) if loopback else (plan.host, plan.port)
    return SimulatedServer(plan, made, host, port, None if plan.tls is None or loopback else tls)


def _without_behaviours(name: str, entry: Any) -> Any:
    """The entry of a stand-in without behaviours that are classes of this process: no other one has them."""
    if not isinstance(entry, dict) or "behaviours" not in entry.get("arguments", {}):
        return entry
    logger.warning(
        "%s: its behaviour is a class of this process, which others cannot use: write it in a file", name
    )
    return {
        **entry,
        "arguments": {key: value for key, value in entry["arguments"].items() if key != "behaviours"},
    }


def _host(server: SimulatedServer) -> str:
    return server.host if isinstance(server.host, str) else server.host[0]


def _control_server(owner: Laboratory, port: int) -> SimulatedServer:
    plan = ServerPlan(LOOPBACK, port, (CONTROL,), {})
    server = SimulatedServer(plan, Made(Behaviours(), {}), LOOPBACK, port)
    server.targets = {CONTROL: owner.control}
    server.start()
    server.wait()
    return server

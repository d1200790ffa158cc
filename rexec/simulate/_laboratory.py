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
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase, from_dict, load_file
from rexec.devices import DeviceManager
from rexec.record.recording import Recording, load_recordings
from rexec.simulate.behaviours import Behaviours, check_names, load_behaviours
from rexec.simulate.control import Control, ControlledDevices
from rexec.simulate.database import CONTROL, rewritten, write_database
from rexec.simulate.driver import origins
from rexec.simulate.errors import SimulationError
from rexec.simulate.faults import Fault, parse_fault
from rexec.simulate.local import remember
from rexec.simulate.plan import ServerPlan, make_plan
from rexec.simulate.server import AnswerSources, SimulatedServer
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"


class Laboratory(ControlledDevices):
    """Simulated controllers of a device database, in this process. A context.

    Args:
        database: The device database.
        names: Controllers, aliases or targets to simulate; none: all.
        behaviours: What devices do.
        recordings: Recordings to answer from.
        faults: Faults from the start: "camera:delay=2".
        seed: Of faults: the same seed gives the same ones.
        experiments: Files or folders of experiments; methods that they call exist where no driver is known.
        loopback: Listen on loopback at free ports; otherwise at the addresses of the real controllers.
        tls: Files of the servers' side, for controllers that speak TLS.
        control_port: Port of the control target; 0: a free one.
        others: Host and port of controllers simulated elsewhere.

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
        self.behaviours: Final = behaviours or Behaviours()
        self._others = dict(others or {})
        self.plans: Final = make_plan(database, names, experiments=experiments)
        plans = [plan for plan in self.plans if not self._others.keys() & set(plan.controllers)]
        # A recording knows the real controller, so its facts replace those read from source.
        for recording in recordings:
            plans = [plan.with_facts(recording.facts(plan.controllers)) for plan in plans]
        check_names(self.behaviours, database, [name for plan in plans for name in plan.targets])
        servers = [_server(plan, self.behaviours, recordings, seed, loopback, tls) for plan in plans]
        super().__init__(database, servers)
        self._control_port = control_port
        self.control: Final = Control(self)
        """The target of the device `simulation`."""
        self._control: SimulatedServer | None = None
        self._manager: DeviceManager | None = None
        self.database: DeviceDatabase = database
        """The database of the simulation, once it runs."""
        self._first: dict[str, Fault] = {}
        for text in faults:
            device, fault = parse_fault(text)
            self._first[device] = self._first.get(device, Fault()) | fault
        for device, fault in self._first.items():
            self.place(device, fault)  # checks the fault before anything starts

    def start(self) -> None:
        """Start all servers.

        Raises:
            SimulationError: One cannot listen; no server is left running.

        """
        try:
            problems = []
            for server in self.servers:
                try:
                    server.start()
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
            name: (server.address, server.port) for server in self.servers for name in server.plan.controllers
        }
        raw = rewritten(
            self.original, {**self._others, **addresses}, (LOOPBACK, self.control_port),
            remember(self.behaviours), self.behaviours.classes,
        )  # fmt: skip
        # Keep the origin: messages name it, and local drivers are imported from its folder.
        self.database = from_dict(raw, self.original.origin)
        for server in self.servers:
            for name, driver in server.drivers.items():
                logger.info(
                    "SIMULATED %s at %s:%d, target %s: %s",
                    server.name, server.address, server.port, name, origins(driver.methods.values()),
                )  # fmt: skip

    @property
    def control_port(self) -> int:
        """Port of the control target, on loopback."""
        return self._control.port if self._control is not None else self._control_port

    def close(self) -> None:
        """Close the clients of `get_device`, and end all servers."""
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
    behaviours: Behaviours,
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
    remote = {
        name: each
        for recording in recordings
        for name, each in recording.remote_replays(plan.controllers).items()
    }
    timing = any(recording.timing for recording in recordings)
    sources = AnswerSources(behaviours, replays, seed, remote, timing)
    host, port = (LOOPBACK, 0) if loopback else (plan.host, plan.port)
    return SimulatedServer(plan, sources, host, port, None if plan.tls is None or loopback else tls)


def _without_behaviours(name: str, entry: Any) -> Any:
    """Return the entry of a stand-in without behaviours that exist only as classes of this process."""
    if not isinstance(entry, dict) or "behaviours" not in entry.get("arguments", {}):
        return entry
    logger.warning(
        "%s: its behaviour is a class of this process, which others cannot use: write it in a file", name
    )
    return {
        **entry,
        "arguments": {key: value for key, value in entry["arguments"].items() if key != "behaviours"},
    }


def _control_server(owner: Laboratory, port: int) -> SimulatedServer:
    plan = ServerPlan(LOOPBACK, port, (CONTROL,), {})
    server = SimulatedServer(plan, AnswerSources(Behaviours(), {}), LOOPBACK, port)
    server.targets = {CONTROL: owner.control}
    server.start()
    return server

"""Which servers a simulation has: from a device database and the source of its controllers. No network."""

import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from devicedb import DeviceDatabase, DeviceDBError, TLSFiles
from devicedb.drivers.methods import DriverFacts, Method, facts_of_class
from devicedb.drivers.servers import offers_option, program_source, served_names, target_class
from devicedb.drivers.sources import ParsedSource, SourceFinder
from devicedb.drivers.usage import scan
from rexec.simulate.errors import SimulationError
from rexec.wire.errors import shown_address
from rexec.wire.pc_rpc import can_be_served

logger = logging.getLogger(__name__)

REXEC: str = "_rexec"
"""Suffix of the name of a remote execution target."""

UNNAMED: str = "driver"
"""Target of a controller whose entry names none, and whose own name cannot be that of a target."""


@dataclass(frozen=True)
class TargetPlan:
    """One target of a simulated server.

    Attributes:
        name: Its name.
        devices: Entries of the database that lead to it.
        facts: What is known of its driver.

    """

    name: str
    devices: tuple[str, ...]
    facts: DriverFacts = field(default_factory=DriverFacts)

    @property
    def driver(self) -> str | None:
        """Name of the driver's target, where this one is its remote execution."""
        return self.name.removesuffix(REXEC) if self.name.endswith(REXEC) and self.name != REXEC else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names that a behaviour of it may have, devices first."""
        return tuple(dict.fromkeys((*self.devices, self.name)))


@dataclass(frozen=True)
class ServerPlan:
    """One simulated server: all that a database has at one host and port.

    Attributes:
        host: Where the real one is.
        port: Its TCP port.
        controllers: Entries of controllers there.
        targets: What it serves, by name.
        tls: Whether the real one speaks TLS, and the client's files.
        simulates_itself: Whether the controller's own program has the option --simulation.

    """

    host: str
    port: int
    controllers: tuple[str, ...]
    targets: Mapping[str, TargetPlan]
    tls: TLSFiles | None = None
    simulates_itself: bool = False

    def with_facts(self, facts: Mapping[str, DriverFacts]) -> "ServerPlan":
        """Return the plan with better facts of some targets, and with targets that it lacks."""
        targets = dict(self.targets)
        for name, each in facts.items():
            targets[name] = TargetPlan(name, targets[name].devices if name in targets else (), each)
            if name.endswith(REXEC):
                targets.setdefault(name.removesuffix(REXEC), TargetPlan(name.removesuffix(REXEC), ()))
        return replace(self, targets=targets)

    @property
    def address(self) -> str:
        """Host and port for people."""
        return shown_address(self.host, self.port)


def folder_of(database: DeviceDatabase) -> Path:
    """Return the folder that commands are relative to: the database's, the current one where it is no file."""
    origin = Path(database.origin)
    return origin.absolute().parent if origin.is_file() else Path.cwd()


def make_plan(
    database: DeviceDatabase,
    names: Iterable[str] = (),
    *,
    finder: SourceFinder | None = None,
    experiments: Iterable[Path] = (),
) -> list[ServerPlan]:
    """Return the servers to simulate.

    Args:
        database: The device database.
        names: Controllers, aliases or targets to which it is limited; none: all.
        finder: Where the source of programs and drivers is looked for; default: the database's folder, Python's path.
        experiments: Files or folders of experiments: what they call is there where nothing else is known of a driver.

    Raises:
        DeviceDBError: A name in `names` is wrong.

    """
    folder = str(folder_of(database))
    finder = finder or SourceFinder((folder, *(path or "." for path in sys.path)))
    chosen = {database.endpoint(name).controller for name in names}
    called = _called(database, experiments)
    programs = _Programs(folder, finder)
    groups: dict[tuple[str, int], list[str]] = {}
    for name, raw in database.raw.items():
        if not isinstance(raw, dict) or raw.get("type") not in ("controller", "controller_aux_target"):
            continue
        try:
            endpoint = database.endpoint(name)
        except DeviceDBError as error:
            logger.warning("%s: not simulated: %s", name, error)
            continue
        groups.setdefault((endpoint.host, endpoint.port), []).append(name)
    plans = [_server(database, entries, programs, called) for entries in groups.values()]
    if chosen:
        plans = [plan for plan in plans if chosen & set(plan.controllers)]
    return plans


def _called(database: DeviceDatabase, experiments: Iterable[Path]) -> dict[str, dict[str, Method]]:
    """Methods that experiments call, by the entry that the device stands for."""
    found: dict[str, dict[str, Method]] = {}
    for path in experiments:
        if not path.exists():
            raise SimulationError(f"there are no experiments at {path}")
        usage = scan(path)
        for file in usage.unreadable:
            logger.warning("%s cannot be parsed: the methods that it calls are unknown", file)
        for call in usage.calls:
            try:
                entry = database.resolve(call.device).entry_name
            except DeviceDBError:
                continue  # `devicedb check --experiments` says so
            origin = f"{Path(call.place.file).name}:{call.place.line}"
            found.setdefault(entry, {}).setdefault(call.method, Method(call.method, origin=origin))
    return found


class _Programs:
    """Facts from the source of controllers' programs; each command is read once.

    Args:
        folder: Where the device database is: commands name scripts relative to it.
        finder: Where the source of programs and drivers is looked for.

    """

    def __init__(self, folder: str, finder: SourceFinder) -> None:
        self._folder = folder
        self._finder = finder
        self._sources: dict[str, ParsedSource | None] = {}
        self._facts: dict[tuple[str, str], DriverFacts] = {}

    def source(self, command: str | None) -> ParsedSource | None:
        """Return the source of the program that a command starts."""
        if command is None:
            return None
        if command not in self._sources:
            self._sources[command] = program_source(command, self._folder, self._finder)
        return self._sources[command]

    def facts(self, command: str | None, target: str) -> DriverFacts:
        """Return the facts of the driver that a command serves under a name, from its source."""
        source = self.source(command)
        if command is None or source is None:
            return DriverFacts()
        key = (command, target)
        if key not in self._facts:
            names = [target] if served_names(source.tree) else [target, None]
            classes = (target_class(source.tree, name) for name in names)
            found = next(
                (
                    found
                    for each in classes
                    if each is not None and (found := self._finder.find_class(source, each)) is not None
                ),
                None,
            )
            self._facts[key] = facts_of_class(found, self._finder) if found is not None else DriverFacts()
        return self._facts[key]


def _server(
    database: DeviceDatabase,
    entries: list[str],
    programs: _Programs,
    called: Mapping[str, Mapping[str, Method]],
) -> ServerPlan:
    endpoints = {name: database.endpoint(name) for name in entries}
    controllers = tuple(dict.fromkeys(each.controller for each in endpoints.values()))
    first = next(iter(endpoints.values()))
    command = next((each.command for each in endpoints.values() if each.command is not None), None)
    source = programs.source(command)
    served = served_names(source.tree) if source is not None else ()
    # The only target of a server has a name, though its entry does not say it.
    drivers = [name for name in served if not (name.endswith(REXEC) and name.removesuffix(REXEC) in served)]
    devices: dict[str, list[str]] = {name: [] for name in served}
    for name, endpoint in endpoints.items():
        target = endpoint.target_name
        if target is None:
            plain = endpoint.controller if can_be_served(endpoint.controller) else UNNAMED
            target = drivers[0] if len(drivers) == 1 else plain
        if served and target not in served:
            logger.warning(
                "%s: %s serves %s, no target %r: not simulated, since the real one has not it either",
                name, source.path if source is not None else "", ", ".join(served), target,
            )  # fmt: skip
            continue
        if not can_be_served(target):
            logger.warning(
                "%s: not simulated, because no controller can serve the target %.80r: a target name is ASCII without "
                "white space",
                name, target,
            )  # fmt: skip
            continue
        devices.setdefault(target, []).append(name)
        if target.endswith(REXEC):
            devices.setdefault(target.removesuffix(REXEC), [])
    targets = {}
    for target, names in devices.items():
        facts = programs.facts(command, target)
        if not facts.is_closed:
            used = {name: each for device in names for name, each in called.get(device, {}).items()}
            facts = DriverFacts(facts.name, facts.doc, facts.origin, {**used, **facts.methods})
        targets[target] = TargetPlan(target, tuple(names), facts)
    own = source is not None and offers_option(source.tree, "--simulation")
    return ServerPlan(first.host, first.port, controllers, targets, first.tls, own)

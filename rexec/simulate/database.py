"""A device database whose controllers are simulated: the same names, other addresses, and a mark that says so."""

import ast
import pprint
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from devicedb import SIMULATED, DeviceDatabase, DeviceDBError
from devicedb.whole_file import write_whole
from rexec.simulate.errors import SimulationError

_MADE_BY: Final = re.compile(rb'^"""(SIMULATED devices|Devices of ).* rexec (simulate|record)')

CORE_DRIVERS: Final = "artiq.coredevice."
"""Drivers in these modules need the core device, and get stand-ins."""

SIM_DRIVERS: Final = "artiq.sim."
"""Drivers of ARTIQ's own simulation, which get stand-ins, too: they need no hardware, but ARTIQ."""

_CORES: Final = ((f"{CORE_DRIVERS}core", "Core"), (f"{SIM_DRIVERS}devices", "Core"))

_REAL_ONLY: Final = ("command", "simple_ssl_config", "port_proxy", "environment")
"""Keys that would start or reach the real controller."""


def rewritten(
    database: DeviceDatabase,
    addresses: Mapping[str, tuple[str, int]],
    control: tuple[str, int] | None = None,
    behaviours: str | None = None,
    stands_in: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the database of a simulation.

    Args:
        database: The real one.
        addresses: Host and port of simulated controllers, by entry.
        control: Host and port of the simulation's own control target, which becomes the device `simulation`.
        behaviours: Where stand-ins of local devices get theirs from (`rexec.simulate.local.remember`).
        stands_in: Names with a behaviour: local devices among them get stand-ins whatever their driver.

    """
    found: dict[str, Any] = {}
    own = set(stands_in)
    for name, raw in database.raw.items():
        if name in addresses:
            host, port = addresses[name]
            kept = {key: value for key, value in raw.items() if key not in _REAL_ONLY}
            found[name] = {**kept, "host": host, "port": port, SIMULATED: True}
        elif isinstance(raw, dict) and raw.get("type") == "controller_aux_target":
            found[name] = {**raw, SIMULATED: True} if _leads_to(database, name, addresses) else raw
        elif _is_local(raw) and (
            str(raw.get("module", "")).startswith((CORE_DRIVERS, SIM_DRIVERS)) or name in own
        ):
            found[name] = stand_in_entry(name, raw, behaviours if name in own else None)
        else:
            found[name] = raw
    if control is not None and CONTROL not in found:
        host, port = control
        found[CONTROL] = {
            "type": "controller",
            "host": host,
            "port": port,
            "target_name": CONTROL,
        }
    return found


def through_proxies(
    database: DeviceDatabase, addresses: Mapping[str, tuple[str, int]], *, keep_tls: bool
) -> dict[str, Any]:
    """Return the database with other addresses for some controllers, which are still the real ones.

    Args:
        database: The real one.
        addresses: Host and port of the proxies, by controller.
        keep_tls: Whether clients speak TLS to the proxies where they did to the controllers.

    """
    dropped = ("command",) if keep_tls else ("command", "simple_ssl_config")
    return {
        name: {**{key: value for key, value in raw.items() if key not in dropped}, "host": addresses[name][0],
               "port": addresses[name][1]} if name in addresses else raw
        for name, raw in database.raw.items()
    }  # fmt: skip


CONTROL: Final = "simulation"
"""Name of the device and of the target that control a simulation."""


def _leads_to(database: DeviceDatabase, name: str, controllers: Mapping[str, Any]) -> bool:
    """Whether a target belongs to one of some controllers."""
    try:
        return database.endpoint(name).controller in controllers
    except DeviceDBError:
        return False  # an invalid target: the error comes when it is used


def _is_local(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get("type") == "local"


def stand_in_entry(name: str, raw: Mapping[str, Any], behaviours: str | None) -> dict[str, Any]:
    """Return the entry of a local device's stand-in."""
    arguments: dict[str, Any] = {
        "device": name,
        "driver": f"{raw.get('module')}.{raw.get('class')}",
        "arguments": raw.get("arguments", {}),
    }
    if behaviours is not None:
        arguments["behaviours"] = behaviours
    return {
        "type": "local",
        "module": "rexec.simulate.local",
        "class": "Core" if (raw.get("module"), raw.get("class")) in _CORES else "StandIn",
        "arguments": arguments,
        SIMULATED: True,
    }


def write_database(path: Path, raw: Mapping[str, Any], title: str) -> None:
    """Write a database as a Python file, whole or not at all.

    Args:
        path: The file; one that `rexec simulate` or `rexec record` has made is replaced.
        raw: The database.
        title: What it is, for its first line.

    Raises:
        SimulationError: It cannot be written, holds what is no plain data, or would replace a file of somebody else.

    """
    text = pprint.pformat(dict(raw), sort_dicts=False, width=110)
    try:
        same = ast.literal_eval(text) == dict(raw)
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise SimulationError(
            f"{path} is not written: the database holds values that are no plain data (strings, numbers, lists, dicts)"
        )
    lines = f'"""{_plain(title)}"""\n\n'
    check_replaceable(path)
    try:
        # Readable for all, because a master may run as another user.
        write_whole(path, f"{lines}device_db = {text}\n".encode(), mode=0o644)
    except OSError as error:
        raise SimulationError(f"cannot write {path}: {error.strerror or error}") from error


def check_replaceable(path: Path) -> None:
    """Raise SimulationError if `write_database` would replace a file of somebody else, or one that cannot be read."""
    try:
        if path.is_file() and not _MADE_BY.search(path.read_bytes().partition(b"\n")[0]):
            raise SimulationError(f"{path} is not replaced: rexec has not made it; name another file")
    except OSError as error:
        raise SimulationError(f"cannot write {path}: {error.strerror or error}") from error


def _plain(title: str) -> str:
    return title.replace("\\", "/").replace('"', "'")

"""Which controllers of a device database this machine is to run, and why others are left out."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devicedb import DeviceDatabase, DeviceDBError, Endpoint, command_line
from rexec.supervise.hosts import addresses, is_this_machine, own_addresses
from schemas import Controller


@dataclass(frozen=True)
class Spec:
    """A controller that is to run: everything that its process depends on."""

    endpoint: Endpoint
    words: tuple[str, ...]
    """Its command line."""
    environment: Mapping[str, str]
    """What its entry adds to the environment."""
    folder: Path
    """Working folder of the command."""
    ping_timer: float = 30.0
    ping_timeout: float = 30.0
    term_timeout: float = 30.0
    retry_timer: float = 5.0
    retry_timer_backoff: float = 1.1

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.endpoint.controller


@dataclass(frozen=True)
class Selection:
    """The controllers of a database: those to run here, and the others with the reason."""

    specs: dict[str, Spec] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def select(database: DeviceDatabase, names: Iterable[str], folder: Path) -> Selection:
    """Return which controllers are to run on this machine.

    Args:
        database: The device database.
        names: Controllers, aliases or auxiliary targets to which the selection is limited; none: all.
        folder: Working folder of the commands.

    Raises:
        DeviceDBError: A name in `names` is wrong. What is wrong with others is their reason to be left out.

    """
    wanted = [database.endpoint(name).controller for name in names]
    chosen = Selection()
    for name in dict.fromkeys(wanted) if wanted else controllers(database):
        try:
            reason, spec = _spec(database, name, folder)
        except DeviceDBError as error:
            reason, spec = str(error), None
        if spec is not None:
            chosen.specs[name] = spec
        else:
            chosen.left_out[name] = reason
    return chosen


def controllers(database: DeviceDatabase) -> list[str]:
    """Return the names of the entries that call themselves controllers."""
    return [
        name
        for name, raw in database.raw.items()
        if isinstance(raw, dict) and raw.get("type") == "controller"
    ]


def _spec(database: DeviceDatabase, name: str, folder: Path) -> tuple[str, Spec | None]:
    resolution = database.resolve(name)
    entry = resolution.entry
    if not isinstance(entry, Controller):
        return "it is no controller", None
    if entry.command is None:
        return "it has no command", None
    endpoint = database.endpoint(name)
    if not is_this_machine(endpoint.host):
        return elsewhere(endpoint.host), None
    own = {**os.environ, **entry.environment}
    words = command_line(name, resolution.raw, bind=endpoint.host, ssl_dir=own.get("ARTIQ_SSL_DIR"))
    return "", Spec(
        endpoint=endpoint,
        words=tuple(words),
        environment=dict(entry.environment),
        folder=folder,
        ping_timer=entry.ping_timer,
        ping_timeout=entry.ping_timeout,
        term_timeout=entry.term_timeout,
        retry_timer=entry.retry_timer,
        retry_timer_backoff=entry.retry_timer_backoff,
    )


def elsewhere(host: str) -> str:
    """Return why a host is not this machine, with the addresses that were compared."""
    found = addresses(host)
    if not found:
        return f"host {host!r} does not resolve"
    return (
        f"host {host!r} is {', '.join(sorted(found))}, none of this machine's addresses "
        f"({', '.join(sorted(own_addresses()))})"
    )

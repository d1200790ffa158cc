"""Selects the controllers of a device database that this machine runs, with reasons for the others."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devicedb import DeviceDatabase, DeviceDBError, Endpoint, command_line
from rexec.devices.hosts import are_here, own_addresses, resolve_all


@dataclass(frozen=True)
class Spec:
    """Everything that the process of a controller depends on."""

    endpoint: Endpoint
    words: tuple[str, ...]
    """Command line."""
    environment: Mapping[str, str]
    """Variables that the entry adds to the environment."""
    folder: Path
    """Working folder of the command."""
    ping_timer: float = 30.0
    ping_timeout: float = 30.0
    term_timeout: float = 30.0
    retry_timer: float = 5.0
    retry_timer_backoff: float = 1.1
    busy_limit: float | None = None
    """Seconds without an answer after which a busy controller is restarted; None: never."""

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.endpoint.controller


@dataclass(frozen=True)
class ControllerSelection:
    """The controllers to run here, and the others with their reasons."""

    specs: dict[str, Spec] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    wrong: frozenset[str] = frozenset()
    """Those of the others whose entries have an error."""
    is_final: bool = True
    """False if a host does not resolve or is not this machine: a later look-up may give another result."""


class Selector:
    """Selects the controllers to run on this machine.

    A host that was this machine and no longer resolves counts as this machine, so that a failing name server ends no
    controller.

    Args:
        names: Controllers, aliases or auxiliary targets to select; empty: all.
        folder: Working folder of the commands.
        busy_limit: Default for entries without `busy_limit`.

    """

    def __init__(self, names: Iterable[str], folder: Path, busy_limit: float | None = None) -> None:
        self._names = tuple(names)
        self._folder = folder
        self._busy_limit = busy_limit
        self._were_here: set[str] = set()

    def select(self, database: DeviceDatabase) -> ControllerSelection:
        """Select the controllers of a database that run here.

        Raises:
            DeviceDBError: A name in `names` is wrong. A wrong entry of any other name is left out, with the error as
                the reason.

        """
        wanted = [database.endpoint(name).controller for name in self._names]
        chosen: dict[str, Spec] = {}
        left_out: dict[str, str] = {}
        wrong = set()
        for name in dict.fromkeys(wanted) if wanted else controllers(database):
            try:
                made = self._spec(database, name)
            except DeviceDBError as error:
                made = str(error)
                wrong.add(name)
            if isinstance(made, Spec):
                chosen[name] = made
            else:
                left_out[name] = made
        _leave_out_second_ones(chosen, left_out)
        elsewhere = self._elsewhere({spec.endpoint.host for spec in chosen.values()})
        for name, spec in list(chosen.items()):
            if spec.endpoint.host in elsewhere:
                left_out[name] = elsewhere[spec.endpoint.host]
                del chosen[name]
        return ControllerSelection(chosen, left_out, frozenset(wrong), not elsewhere)

    def _elsewhere(self, hosts: set[str]) -> dict[str, str]:
        """Return the hosts that are not this machine, with the reasons."""
        own = own_addresses()
        found = resolve_all(hosts)
        self._were_here |= {host for host in hosts if are_here(found[host], own)}
        self._were_here -= {host for host in hosts if found[host] and not are_here(found[host], own)}
        return {host: _why(host, found[host], own) for host in sorted(hosts - self._were_here)}

    def _spec(self, database: DeviceDatabase, name: str) -> Spec | str:
        """Return the specification of an entry, or the reason to leave it out."""
        resolution = database.resolve(name)
        entry = resolution.entry
        if entry.type != "controller":
            return "it is not a controller"
        if entry.command is None:
            return "it has no command"
        endpoint = database.endpoint(name)
        own = {**os.environ, **entry.environment}
        words = command_line(name, resolution.raw, bind=endpoint.host, ssl_dir=own.get("ARTIQ_SSL_DIR"))
        return Spec(
            endpoint=endpoint,
            words=tuple(words),
            environment=dict(entry.environment),
            folder=self._folder,
            ping_timer=entry.ping_timer,
            ping_timeout=entry.ping_timeout,
            term_timeout=entry.term_timeout,
            retry_timer=entry.retry_timer,
            retry_timer_backoff=entry.retry_timer_backoff,
            busy_limit=entry.busy_limit if entry.busy_limit is not None else self._busy_limit,
        )


def controllers(database: DeviceDatabase) -> list[str]:
    """Return the names of the entries of type `controller`."""
    return [
        name
        for name, raw in database.raw.items()
        if isinstance(raw, dict) and raw.get("type") == "controller"
    ]


def _leave_out_second_ones(chosen: dict[str, Spec], left_out: dict[str, str]) -> None:
    """Leave out controllers with the address of an earlier one, because they could not open their port."""
    first: dict[tuple[str, int], str] = {}
    for name, spec in list(chosen.items()):
        there = first.setdefault((spec.endpoint.host, spec.endpoint.port), name)
        if there != name:
            left_out[name] = (
                f"controller {there!r} has the same address {spec.endpoint.address}. If both are targets of one "
                "server, give only one entry a command; otherwise correct one of the ports"
            )
            del chosen[name]


def _why(host: str, found: frozenset[str], own: frozenset[str]) -> str:
    if not found:
        return f"host {host!r} does not resolve"
    named = "" if found == {host} else f" is {', '.join(sorted(found))},"
    return f"host {host!r}{named or ' is'} none of this machine's addresses ({', '.join(sorted(own))})"

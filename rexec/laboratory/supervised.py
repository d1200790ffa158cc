"""Gathers the controllers that a supervisor of this program keeps running."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final

from devicedb import Endpoint
from rexec.devices import peers
from rexec.devices.connect import ssl_config
from rexec.devices.leases import clients_of, users_of
from rexec.devices.uses import DeviceUser
from rexec.laboratory.facts import ControllerFact, LogFact
from rexec.laboratory.store import LiveSnapshot
from rexec.supervise.selection import ControllerSelection, Spec
from rexec.supervise.status import TROUBLE, ControllerStatus
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client

logger = logging.getLogger(__name__)

_Users = tuple[DeviceUser, ...]

LIMIT: Final = 1.0
"""Seconds for all controllers to tell who uses them."""


class SupervisedControllers:
    """Writes the controllers of a supervisor into a snapshot, and changes of their states into its log."""

    def __init__(self, laboratory: LiveSnapshot) -> None:
        self._laboratory = laboratory
        self._writer = laboratory.writer()
        self._troubles: dict[str, str] = {}
        self._specs: dict[str, Spec] = {}

    def changed(self, status: ControllerStatus, is_news: bool) -> None:
        """Take a new status; one that is news gets a line in the log."""
        with self._writer.together():
            self._writer.amend(
                "controllers",
                status.name,
                lambda fact: replace(
                    fact or ControllerFact(status.name),
                    status=status,
                    memory=fact.memory if fact and status.pid else None,
                ),
            )
            if is_news:
                self._log(status)

    def _log(self, status: ControllerStatus) -> None:
        """Add a line; that of a repeated failure is short, so that it does not hide other controllers."""
        text, is_trouble = line(status), status.state in TROUBLE
        is_repeated = self._troubles.get(status.name) == status.reason
        if is_trouble:
            self._troubles[status.name] = status.reason
        self._writer.log(
            LogFact(
                time.time(),
                logging.WARNING if is_trouble else logging.INFO,
                status.name,
                text.partition("\n")[0] if is_repeated else text,
                status=status,
                is_repeated=is_repeated,
            )
        )

    def selected(self, selection: ControllerSelection) -> None:
        """Take the order of the controllers, and who is left out; drop those that are gone."""
        self._specs = dict(selection.specs)
        now = self._laboratory.snapshot()["controllers"]
        facts = {}
        for place, name in enumerate([*selection.specs, *selection.left_out]):
            left_out = selection.left_out.get(name, "")
            fact = now.get(name, ControllerFact(name))
            facts[name] = replace(
                fact, place=place, left_out=left_out, status=None if left_out else fact.status
            )
        self._writer.become("controllers", facts)

    def measure(self) -> None:
        """Measure the memory of the processes, and ask the controllers who uses them; it takes up to `LIMIT` s."""
        facts = kept_running(self._laboratory.snapshot()["controllers"])
        pids = {fact.name: status.pid for fact, status in facts if status.pid is not None}
        memory = peers.memories(pids.values()) if pids else {}
        ups = {fact.name for fact, status in facts if status.state == "up"}
        users = users_at({name: spec.endpoint for name, spec in self._specs.items() if name in ups})
        with self._writer.together():
            for fact, _ in facts:
                found = memory.get(pids.get(fact.name, 0)), *users.get(fact.name, ((), ()))
                self._writer.amend("controllers", fact.name, partial(_measured, *found))

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the controllers as plain values, for clients of the control port."""
        self.measure()
        found = kept_running(self._laboratory.snapshot()["controllers"])
        return [
            {
                **asdict(status),
                "memory": fact.memory,
                "users": [user.as_dict() for user in fact.users],
                "clients": [user.as_dict() for user in fact.clients],
            }
            for fact, status in found
        ]


def users_at(endpoints: Mapping[str, Endpoint]) -> dict[str, tuple[_Users, _Users]]:
    """Return who uses controllers, and who else is connected, as those tell that answer in time."""
    found: dict[str, tuple[_Users, _Users]] = {}

    def ask(name: str, endpoint: Endpoint) -> None:
        try:
            config = ssl_config(endpoint.tls)
            with Client(
                endpoint.host, endpoint.port, None, ssl_config=config, handshake_timeout=LIMIT
            ) as client:
                targets = client.get_rpc_id()[0]
                client.select_rpc_target(
                    endpoint.target_name if endpoint.target_name in targets else targets[0]
                )
                found[name] = users_of(client, endpoint, endpoint.target_name), clients_of(client)
        except (WireError, OSError) as error:
            logger.debug("controller %r does not tell who uses it: %s", name, error)

    threads = [threading.Thread(target=ask, args=each, daemon=True) for each in endpoints.items()]
    deadline = time.monotonic() + LIMIT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _measured(
    memory: int | None, users: _Users, clients: _Users, fact: ControllerFact | None
) -> ControllerFact | None:
    return replace(fact, memory=memory, users=users, clients=clients) if fact is not None else None


def kept_running(controllers: Mapping[str, ControllerFact]) -> list[tuple[ControllerFact, ControllerStatus]]:
    """Return the controllers that a supervisor runs, with their status, in the order of the database."""
    found = sorted(controllers.values(), key=lambda fact: fact.place)
    return [(fact, fact.status) for fact in found if fact.status is not None]


def line(status: ControllerStatus) -> str:
    """Return a change of state as text; the last lines of a controller's output follow on their own lines."""
    reason = f": {status.reason}" if status.reason and status.state in {*TROUBLE, "ended"} else ""
    pid = f" (pid {status.pid})" if status.pid is not None else ""
    return f"{status.name} at {status.address}: {status.state}{pid}{reason}"

"""Answers the requests of clients about leases (docs/explanation/wire.md)."""

import time
from collections.abc import Callable, Container, Iterable
from typing import Any, Final

from rexec.access.rights import Right
from rexec.ground.lease_table import LeaseTable
from rexec.wire._server_connection import ServerConnection

_LONGEST: Final = 200
"""Characters of a name."""
_MOST: Final = 1000
"""Clients of which a server tells."""


def answered(
    table: LeaseTable,
    connection: ServerConnection,
    request: dict[str, Any],
    devices: Container[str],
    connections: Callable[[], Iterable[ServerConnection]],
) -> Any:
    """Return the answer to a request `{"action": "lease", "name": …, "args": […]}`.

    Args:
        table: The leases of the server.
        connection: That of the client.
        request: The request.
        devices: Names of the server's targets.
        connections: Returns all connections of the server.

    Raises:
        ValueError: There is no such request or device, or the connection has another holder.

    """
    match request.get("name"), request.get("args"):
        case "take", [str(device), str(id_), bool(exclusive)]:
            id_ = id_[:_LONGEST]
            # So a client needs a connection for each lease, whose number is limited.
            if device not in devices or connection.lease_holder not in ("", id_):
                raise ValueError(f"no device {device!r:.80}, or the connection is that of another holder")
            connection.lease_holder = id_
            return table.take(
                device, id_, exclusive, lambda: _may_keep(connection, exclusive), lambda: _holder(connection)
            )
        case "shared", [str(device), str(id_)]:
            return table.shared(device[:_LONGEST], id_[:_LONGEST])
        case "present", [str(id_)]:
            return table.present(id_[:_LONGEST])
        case "connected", []:
            return _without_lease(table, connection, connections())
    raise ValueError(f"no request about leases: {request.get('name')!r:.80}")


def _may_keep(connection: ServerConnection, exclusive: bool) -> bool:
    """Return whether a holder is still there, and may still have what it has."""
    if connection.closed or not connection.is_trusted():
        return False
    guard = connection.guard
    return guard is None or guard.allows(connection, Right.CALL if exclusive else Right.READ)


def _without_lease(
    table: LeaseTable, asking: ServerConnection, connections: Iterable[ServerConnection]
) -> list[dict[str, Any]]:
    """Return the clients that are connected without a lease, but for the process that asks."""
    known = {_process(each, "") for each in (*table.present(), _holder(asking))}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in connections:
        if each.target_name and not each.closed and len(found) < _MOST:
            who = _holder(each)
            process = _process(who, each.peer)
            if process not in known:
                found.setdefault(process, {**who, "seconds": time.time() - each.since})
    return list(found.values())


def _process(who: dict[str, Any], peer: str) -> tuple[Any, ...]:
    """Return what tells a process from others; a stock client does not say which it is."""
    return who["person"], who["machine"], who["pid"] or peer


def _holder(connection: ServerConnection) -> dict[str, Any]:
    """Return who a client is."""
    who = connection.identity
    return {
        "what": who.run or who.program,
        "person": who.name,
        "known": who.known_by,
        "machine": who.host,
        "pid": who.pid,
    }

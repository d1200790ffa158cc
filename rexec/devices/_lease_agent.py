"""Runs on a stock controller with remote execution: the table of its leases, in the controller-wide namespace.

It is shipped after `rexec.ground.lease_table`, whose names are there for it, and imports the standard library only.
"""

from __future__ import annotations

import gc
import os
import socket
import time
import weakref
from typing import Any

from rexec.ground.lease_table import LeaseTable

TABLE = "_rexec_leases_1"
SILENT = 60.0  # seconds without a renewal after which a holder is suspected to be gone
GRACE = 20.0  # seconds for a suspected holder: the controller may have been in a call meanwhile


class Anchor:
    """Ends with the namespace of its connection."""


class Liveness:
    """Whether the holder of a lease is still there.

    Args:
        holder: What it says of itself.

    """

    def __init__(self, holder: dict[str, Any]) -> None:
        self.holder = holder
        self.gone = False
        self.renewed = time.monotonic()
        self.suspected: float | None = None

    def end(self) -> None:
        self.gone = True

    def renew(self) -> None:
        self.renewed, self.suspected = time.monotonic(), None

    def __call__(self) -> bool:
        """Return whether it is there: a stock server does not notice that a network was cut."""
        if self.gone:
            return False
        now = time.monotonic()
        if now - self.renewed <= SILENT or self.runs_here():
            return True
        if self.suspected is None:
            self.suspected = now
        return now - self.suspected < GRACE

    def runs_here(self) -> bool:
        """Return whether it is a process of this machine, which may be stopped."""
        return self.holder["machine"] == socket.gethostname() and os.path.isdir(f"/proc/{self.holder['pid']}")


def lease_request(shared: dict[str, Any], connection: dict[str, Any], name: str, args: list[Any]) -> Any:
    """Answer a client, as a server of ours does.

    Args:
        shared: The controller-wide namespace.
        connection: That of the client's connection.
        name: What is asked for.
        args: Its arguments.

    """
    table: LeaseTable = shared.setdefault(TABLE, LeaseTable())
    alive: Liveness | None = connection.get("_rexec_alive")
    if alive is not None:
        alive.renew()
    if name != "take":
        return getattr(table, name)(*args)
    device, id_, exclusive, holder = args
    if alive is None:
        # The table must not refer to the connection's namespace, because the lease ends with that.
        alive = connection["_rexec_alive"] = Liveness(holder)
        anchor = connection["_rexec_anchor"] = Anchor()
        weakref.finalize(anchor, alive.end)
    found = table.take(device, id_, exclusive, alive, lambda: holder)
    if found:
        gc.collect()  # of connections that have ended
        found = table.take(device, id_, exclusive, alive, lambda: holder)
    return found

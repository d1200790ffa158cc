"""Who uses which device of a server: a lease lasts as long as its holder.

It runs in servers of ours, and is shipped to stock ones with remote execution (`rexec.devices._lease_ways`): it imports
the standard library only.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

MOST = 200  # sharers that a lease remembers
MOST_LEASES = 1000  # of a server
WAITS = 5.0  # seconds since the last attempt of who still waits


class HeldLease:
    """A lease of a device.

    Args:
        device: What is used, by a name that all clients of the server agree on.
        id_: Of the holder: the same for all leases of one process.
        exclusive: Whether nobody else may use it.
        is_alive: Returns False once the holder is gone.
        describe: Returns who the holder is, as plain values; called when another client is to be told.

    """

    def __init__(self, device: str, id_: str, exclusive: bool, is_alive: Any, describe: Any) -> None:
        self.device = device
        self.id = id_
        self.exclusive = exclusive
        self.ties = [is_alive]
        self.describe = describe
        self.began = time.monotonic()
        self.asked = self.began
        self.shared: dict[str, dict[str, Any]] = {}

    def is_alive(self) -> bool:
        """Return whether one of the holder's connections is left."""
        self.ties = [each for each in self.ties if each()]
        return bool(self.ties)

    def said(self, waiting: bool = False) -> dict[str, Any]:
        """Return the lease as plain values.

        `seconds` is its age, because clocks of machines differ. The id is left out: who knows it can end the lease.
        """
        who = self.describe()
        return {
            **who,
            "stopped": who["machine"] == socket.gethostname() and is_stopped(who["pid"]),
            "device": self.device,
            "exclusive": self.exclusive,
            "waiting": waiting,
            "seconds": time.monotonic() - self.began,
        }


class LeaseTable:
    """The leases of a server. From any thread."""

    def __init__(self) -> None:
        self._leases: list[HeldLease] = []
        self._waiting: dict[tuple[str, str], HeldLease] = {}
        self._lock = threading.Lock()

    def take(
        self, device: str, id_: str, exclusive: bool, is_alive: Any, describe: Any
    ) -> list[dict[str, Any]]:
        """Grant a lease, joined to what the holder has already; or return the leases that are in its way."""
        lease = HeldLease(device, id_, exclusive, is_alive, describe)
        with self._lock:
            others, former = [], None
            for each in self._living(device):
                if each.id == id_:
                    former = each
                else:
                    others.append(each)
            in_the_way = [each.said() for each in others if exclusive or each.exclusive]
            place = (device, id_)
            if in_the_way:
                if len(self._waiting) < MOST_LEASES:
                    self._waiting.setdefault(place, lease).asked = time.monotonic()
                return in_the_way
            self._waiting.pop(place, None)
            if former is None and len(self._leases) >= MOST_LEASES:
                raise ValueError(f"the server has {MOST_LEASES} leases, which is too many")
            if former is not None:
                self._leases.remove(former)
                lease.began, lease.shared = former.began, former.shared
                lease.exclusive |= former.exclusive
                lease.ties += former.ties
            for each in others:
                note(each, lease)
                note(lease, each)
            self._leases.append(lease)
            return []

    def present(self, id_: str = "") -> list[dict[str, Any]]:
        """Return the leases of all devices but this holder's, the oldest first, and then who waits."""
        with self._lock:
            leases = [each.said() for each in self._living(None) if each.id != id_]
            return leases + self._waiters(None)

    def shared(self, device: str, id_: str) -> list[dict[str, Any]] | None:
        """Return all who have had a lease at the same time as this holder, and who waits; None if it has none."""
        with self._lock:
            for each in self._living(device):
                if each.id == id_:
                    return [*each.shared.values(), *self._waiters(device)]
            return None

    def _waiters(self, device: str | None) -> list[dict[str, Any]]:
        now = time.monotonic()
        self._waiting = {
            place: each
            for place, each in self._waiting.items()
            if now - each.asked <= WAITS and each.is_alive()
        }
        return [each.said(True) for each in self._waiting.values() if device is None or each.device == device]

    def _living(self, device: str | None) -> list[HeldLease]:
        self._leases = [each for each in self._leases if each.is_alive()]
        return [each for each in self._leases if device is None or each.device == device]


def note(lease: HeldLease, other: HeldLease) -> None:
    """Remember in a lease that there was another one."""
    if len(lease.shared) < MOST:
        lease.shared[other.id] = other.said()


def is_stopped(pid: int) -> bool:
    """Return whether a process of this machine is stopped (SIGSTOP, a debugger), where the system has /proc."""
    try:
        with open(f"/proc/{int(pid)}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, ValueError, IndexError):
        return False

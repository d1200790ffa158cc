"""Searches a controller that does not run at its address: on this machine, and on other hosts of the database."""

import socket
import threading
import time
from typing import Final

from devicedb import DeviceDatabase, Endpoint
from rexec.devices.hosts import addresses
from rexec.doctor.greeting import Failed, greet
from rexec.wire.errors import shown_address

LOOPBACK: Final = ("127.0.0.1", "::1")
MOST: Final = 16
"""Maximum number of hosts to try."""

_LONGEST: Final = 1.0
"""Maximum seconds for all hosts."""


def candidates(database: DeviceDatabase, endpoint: Endpoint, further: tuple[str, ...] = ()) -> list[str]:
    """Return the hosts on which the controller of an endpoint might run instead.

    Args:
        database: Database whose other entries name hosts.
        endpoint: Endpoint of the device.
        further: More hosts, for example the master's.

    """
    named = [
        raw["host"]
        for raw in database.raw.values()
        if isinstance(raw, dict) and raw.get("type") == "controller" and isinstance(raw.get("host"), str)
    ]
    found = dict.fromkeys((*LOOPBACK, *further, *named))
    found.pop(endpoint.host, None)
    return list(found)[:MOST]


def look(hosts: list[str], endpoint: Endpoint, deadline: float) -> str | None:
    """Return the first host on which the target of an endpoint answers at its port, or None.

    Args:
        hosts: Hosts to try, all at the same time.
        endpoint: Endpoint of the device.
        deadline: `time.monotonic()` at which to give up.

    """
    until = min(deadline, time.monotonic() + _LONGEST)
    if until - time.monotonic() < 0.05:
        return None
    found: set[str] = set()

    def one(host: str) -> None:
        try:
            there = greet(host, endpoint.port, endpoint.tls, until).targets
        except Failed:
            return
        if endpoint.target_name is None or endpoint.target_name in there:
            found.add(host)

    threads = [threading.Thread(target=one, args=(host,), daemon=True) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return next((host for host in hosts if host in found), None)


def where(host: str, endpoint: Endpoint) -> str:
    """Return the explanation for a controller that answers on `host` instead of the host of its entry."""
    at = shown_address(host, endpoint.port)
    if host not in LOOPBACK:
        return f"but its target answers at {at}: if that is the right machine, change host in the entry"
    if addresses(endpoint.host) & set(LOOPBACK):
        return f"but its target answers at {at}: its --bind differs from the entry's host"
    return (
        f"but its target answers at {at}, on this machine ({socket.gethostname()}): it was started on the wrong "
        "machine, or host in the entry is wrong"
    )

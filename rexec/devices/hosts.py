"""Resolves hosts, and tells whether a host is this machine."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable

import psutil

from rexec.wire.errors import checked_host


def addresses(host: str) -> frozenset[str]:
    """Return the addresses of a host; empty if it does not resolve."""
    try:
        found = socket.getaddrinfo(checked_host(host), None)
    except OSError:
        return frozenset()
    return frozenset(_plain(str(each[4][0])) for each in found)


def resolve_all(hosts: Iterable[str], timeout: float = 5.0) -> dict[str, frozenset[str]]:
    """Return the addresses of several hosts, resolved at the same time.

    Args:
        hosts: Names and addresses.
        timeout: Seconds for all; a slower host counts as not resolved. Its thread keeps running, because a look-up
            cannot be interrupted.

    """
    found: dict[str, frozenset[str]] = {host: frozenset() for host in hosts}

    def one(host: str) -> None:
        found[host] = addresses(host)

    threads = [threading.Thread(target=one, args=(host,), daemon=True) for host in found]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def own_addresses() -> frozenset[str]:
    """Return the addresses of the network interfaces of this machine."""
    families = (socket.AF_INET, socket.AF_INET6)
    return frozenset(
        _plain(each.address)
        for interface in psutil.net_if_addrs().values()
        for each in interface
        if each.family in families
    )


def is_this_machine(host: str) -> bool:
    """Whether one of a host's addresses is loopback or belongs to an interface of this machine."""
    return are_here(addresses(host), own_addresses())


def are_here(found: Iterable[str], own: frozenset[str]) -> bool:
    """Whether one of the addresses is loopback or among `own`."""
    return any(each in own or ipaddress.ip_address(each).is_loopback for each in found)


def _plain(address: str) -> str:
    """Return an address in its canonical spelling, without the zone of a link-local one."""
    return str(ipaddress.ip_address(address.partition("%")[0]))

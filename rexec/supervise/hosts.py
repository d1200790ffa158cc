"""Whether a host of a device database is this machine."""

import ipaddress
import socket

import psutil


def addresses(host: str) -> frozenset[str]:
    """Return the addresses that a name or address stands for; empty where it does not resolve."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(_plain(str(each[4][0])) for each in found)


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
    """Whether a host is this machine: one of its addresses is loopback or of an interface here."""
    own = own_addresses()
    return any(each in own or ipaddress.ip_address(each).is_loopback for each in addresses(host))


def _plain(address: str) -> str:
    """Return an address without the zone of a link-local one, in one spelling."""
    return str(ipaddress.ip_address(address.partition("%")[0]))

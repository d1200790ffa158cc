"""Rules about hosts: a host name or an address, and nothing else."""

import re
from collections.abc import Iterator
from typing import Any, Final

from devicedb.model.database import CheckedDatabase, Entry
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import write

GOOD = 'device_db = {"camera": {"type": "controller", "host": "lab-pc", "port": 3286}}\n'

_SCHEME: Final = re.compile(r"^\s*[A-Za-z][A-Za-z0-9+.-]*://")
_PORT: Final = re.compile(r":\d{1,5}$")
_NUMBERS: Final = re.compile(r"^\d+(\.\d+)+$")
_LABEL: Final = re.compile(r"^[^\W]([\w-]*[^\W])?$|^_[\w-]*$")
_CORE: Final = ("artiq.coredevice.core", "Core")


def fault_of_host(host: str) -> tuple[str, str] | None:
    """Return what is wrong with a host and what to write instead; None for a name or an address."""
    bare = host.strip()
    scheme = _SCHEME.match(bare)
    if scheme or "/" in bare or "\\" in bare or "@" in bare:
        inner = bare[scheme.end() :] if scheme else bare
        name = re.split(r"[/\\]", inner)[0].rpartition("@")[2]
        return "is a URL or a path", _write(name)
    if host != bare:
        return "has white space around it", _write(bare)
    if any(map(str.isspace, host)):
        return "holds white space", ""
    if "[" in host or "]" in host:
        return "has brackets, which belong to URLs", _write(host)
    if host.count(":") == 1:
        port = " and 'port' has the port" if _PORT.search(host) else ""
        return f"holds a colon; 'host' has only the name{port}", _write(host)
    if ":" in host:
        from ipaddress import IPv6Address

        try:
            IPv6Address(host.partition("%")[0])
        except ValueError:
            return "is not an IPv6 address", ""
        return None
    if _NUMBERS.match(host):
        parts = host.split(".")
        if len(parts) > 4 or any(int(each) > 255 for each in parts if len(parts) == 4):
            return "is not an IPv4 address: it has four numbers from 0 to 255", ""
        return None
    labels = (host[:-1] if host.endswith(".") else host).split(".")
    if any(not each for each in labels):
        return "has an empty part between its dots", ""
    if len(host) > 253 or any(len(each) > 63 for each in labels):
        return "is longer than a host name can be", ""
    if not all(_LABEL.match(each) for each in labels):
        return "holds characters that no host name has", ""
    return None


def _write(host: str) -> str:
    """The hint to write a host without what surrounds it, if that is one."""
    inside = re.match(r"^\[(.*?)\]", host)
    name = inside[1] if inside else _PORT.sub("", host) if host.count(":") == 1 else host
    if re.search(r"[\[\]]", name) or name.count(":") == 1:
        return ""  # what is wrong with it is in its middle
    return f"write {name!r}" if name and fault_of_host(name) is None else ""


@entry_rule(
    "DDB114",
    Severity.ERROR,
    "host is not a host name or an address",
    why="The host is passed to the resolver unchanged: a URL, a port, brackets or white space make it fail.",
    bad='device_db = {"camera": {"type": "controller", "host": "http://lab-pc:3286", "port": 3286}}\n',
    good=GOOD,
    kinds=("controller", "local"),
)
def impossible_host(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    path: tuple[Any, ...] = ("host",)
    host = entry.raw.get("host")
    if entry.kind == "local":
        if entry.driver != _CORE:
            return
        path, host = ("arguments", "host"), entry.arguments.get("host")
    if not isinstance(host, str) or not host.strip():
        return  # an empty host has a rule of its own
    fault = fault_of_host(host)
    if fault is not None:
        said, hint = fault
        repair = write(entry.at(*path), host, host.strip()) if hint == f"write {host.strip()!r}" else None
        text = f"'host' of {entry.name!r}, {host!r}, {said}"
        yield Hit(entry.at(*path), text, hint, entry.name, repair=repair)

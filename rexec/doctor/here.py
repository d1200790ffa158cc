"""What this machine knows of a server that runs on it: its process, and who is connected."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from devicedb import DeviceDatabase
from rexec.devices.hosts import is_this_machine
from rexec.devices.peers import Connections
from rexec.doctor.finding import Finding

_OF_A_SERVER: Final = frozenset({"silent", "closed", "protocol", "target", "tls", "busy"})
"""Causes where something listens that is not as it should be."""


def annotated(
    findings: Iterable[Finding], database: DeviceDatabase, seen: Connections | None
) -> list[Finding]:
    """Return findings with what this machine knows of servers that run on it; of others it knows nothing.

    Args:
        findings: What was found.
        database: The device database.
        seen: Who was connected while it was found; None: that is looked up if it is needed.

    """
    local: dict[str, bool] = {}
    made = []
    for each in findings:
        if each.cause in _OF_A_SERVER and each.address and _is_local(each, database, local):
            seen = seen or Connections()
            made.append(_annotated(each, database.endpoint(each.name).port, seen))
        else:
            made.append(each)
    return made


def _is_local(finding: Finding, database: DeviceDatabase, known: dict[str, bool]) -> bool:
    host = database.endpoint(finding.name).host
    if host not in known:
        known[host] = is_this_machine(host)
    return known[host]


def _annotated(finding: Finding, port: int, seen: Connections) -> Finding:
    message = finding.message
    connected = seen.clients(port) if finding.cause in ("silent", "busy") else None
    if connected:
        more = f" and {len(connected) - 3} more" if len(connected) > 3 else ""
        message += f". Connected: {', '.join(connected[:3])}{more}"
    who = seen.owner(port)
    if who is not None:
        message += f"{'' if message.endswith(('.', '?')) else '.'} The port is that of {who}"
    return replace(finding, message=message)

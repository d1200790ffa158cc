"""Adds facts about servers on this machine: their process and their clients."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from devicedb import DeviceDatabase
from rexec.devices.hosts import is_this_machine
from rexec.devices.peers import Connections
from rexec.doctor.diagnosis import Diagnosis

_OF_A_SERVER: Final = frozenset({"silent", "closed", "protocol", "target", "tls", "busy"})
"""Causes for which a process listens at the address."""


def annotated(
    findings: Iterable[Diagnosis], database: DeviceDatabase, seen: Connections | None
) -> list[Diagnosis]:
    """Return diagnoses with the process and the clients of servers on this machine.

    Args:
        findings: The diagnoses.
        database: The device database.
        seen: Connections during the audit; None: they are listed when needed.

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


def _is_local(finding: Diagnosis, database: DeviceDatabase, known: dict[str, bool]) -> bool:
    host = database.endpoint(finding.name).host
    if host not in known:
        known[host] = is_this_machine(host)
    return known[host]


def _annotated(finding: Diagnosis, port: int, seen: Connections) -> Diagnosis:
    message = finding.message
    connected = seen.clients(port) if finding.cause in ("silent", "busy") else None
    if connected:
        more = f" and {len(connected) - 3} more" if len(connected) > 3 else ""
        message += f". Connected: {', '.join(connected[:3])}{more}"
    who = seen.owner(port)
    if who is not None:
        message += f"{'' if message.endswith(('.', '?')) else '.'} The port belongs to {who}"
    return replace(finding, message=message)

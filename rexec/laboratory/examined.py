"""Puts examinations of devices, and what a supervisor says of them, into the snapshot."""

import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, get_args

from rexec.doctor import Audit, Diagnosis, run
from rexec.laboratory.entries import entry_facts
from rexec.laboratory.facts import ControllerFact
from rexec.laboratory.store import SnapshotWriter
from rexec.supervise.status import ControllerStatus, State

_HIGHEST: Final = 1 << 53
"""Whole numbers below it are the same as floats, and in JSON."""

_FIELDS: Final = frozenset(field.name for field in dataclasses.fields(ControllerStatus))


def examine(writer: SnapshotWriter, audit: Audit, names: Iterable[str] = ()) -> None:
    """Examine devices, all at once, and put what is found into the snapshot; and the entries of the database.

    Args:
        writer: The snapshot's.
        audit: Device database, time limit and checks.
        names: The devices; none: all controllers and their targets.

    """
    findings = run(audit, names)
    with writer.together():
        writer.become("entries", entry_facts(audit.database))
        put_diagnoses(writer, findings)


def put_diagnoses(writer: SnapshotWriter, findings: Iterable[Diagnosis]) -> None:
    """Take the examinations of all devices: all are new, or none."""
    now = time.time()
    with writer.together():
        for each in findings:
            writer.amend("controllers", each.name, partial(_examined, each, now))


def put_statuses(writer: SnapshotWriter, answer: object, names: Iterable[str]) -> None:
    """Take what the control port of a supervisor answers; None: it does not answer.

    Args:
        writer: The snapshot's.
        answer: What `ctlmgr.status()` gave: one dict a controller. Anything else in it is left out.
        names: Controllers that have a status now; those that are not in the answer lose it.

    """
    found: dict[str, tuple[ControllerStatus, int | None]] = {}
    for each in answer if isinstance(answer, list) else []:
        status = _status(each)
        if status is not None:
            memory = each.get("memory")
            found[status.name] = status, memory if isinstance(memory, int) and _is_number(memory) else None
    with writer.together():
        for name in {*names, *found}:
            writer.amend("controllers", name, partial(_kept, name, found.get(name)))


def _examined(diagnosis: Diagnosis, now: float, fact: ControllerFact | None) -> ControllerFact:
    before = fact or ControllerFact(diagnosis.name)
    return replace(before, diagnosis=diagnosis, examined=now, users=diagnosis.users)


def _kept(
    name: str, found: tuple[ControllerStatus, int | None] | None, fact: ControllerFact | None
) -> ControllerFact:
    status, memory = found or (None, None)
    return replace(fact or ControllerFact(name), status=status, memory=memory)


def _status(given: Any) -> ControllerStatus | None:
    if not isinstance(given, Mapping) or not isinstance(given.get("state"), str):
        return None
    if given["state"] not in get_args(State):
        return None
    fields: dict[str, Any] = {name: value for name, value in given.items() if name in _FIELDS}
    numbers = ("pid", "since", "restarts", "pinged", "ping", "silent_since", "retry_at")
    if not all(_is_number(fields.get(name)) for name in numbers):
        return None
    if not all(isinstance(fields.get(name, ""), str) for name in ("name", "address", "reason")):
        return None
    try:
        return ControllerStatus(**fields)
    except TypeError:
        return None


def _is_number(given: Any) -> bool:
    """Return whether it is a number that any reader understands, or none."""
    return given is None or (isinstance(given, int | float) and abs(given) < _HIGHEST)

"""The entries of a device database as facts of the snapshot."""

from typing import Any

from devicedb import DeviceDatabase, DeviceDBError
from rexec.laboratory.facts import EntryFact


def entry_facts(database: DeviceDatabase) -> dict[str, EntryFact]:
    """Return a fact for each entry, in the order of the database; an entry that cannot be used says why."""
    return {name: _fact(database, name, place, raw) for place, (name, raw) in enumerate(database.raw.items())}


def _fact(database: DeviceDatabase, name: str, place: int, raw: Any) -> EntryFact:
    if isinstance(raw, str):
        kind = "alias"
    elif isinstance(raw, dict):
        kind = str(raw.get("type", "wrong"))
    else:
        return EntryFact(name, place, "wrong", raw, error="an entry is a dict, or the name of another one")
    if kind not in ("controller", "controller_aux_target"):
        return EntryFact(name, place, kind, raw, error=_problem(database, name) if kind == "alias" else "")
    try:
        endpoint = database.endpoint(name)
    except DeviceDBError as error:
        return EntryFact(name, place, kind, raw, error=str(error))
    controller = str(raw.get("controller", name)) if kind == "controller_aux_target" else name
    return EntryFact(name, place, kind, raw, endpoint.address, controller, endpoint.target_name)


def _problem(database: DeviceDatabase, name: str) -> str:
    try:
        database.resolve(name)
    except DeviceDBError as error:
        return str(error)
    return ""

"""The file of rights: what the entries of a database allow, for servers that enforce it.

`rexec up` writes it for its controllers, `devicedb show --rights` for one that is started by hand.
"""

import json
from pathlib import Path
from typing import Any, Final

from devicedb.database import DeviceDatabase
from devicedb.errors import DeviceDBError
from devicedb.model.located import NOWHERE, decode
from devicedb.sandbox.run import run_file

_SECONDS: Final = 10.0


def file_of_rights(database: DeviceDatabase) -> str:
    """Return the rights on all controllers as JSON: {"devices": {name: {"place": "device_db.py:12", "allow": …}}}.

    An entry that is wrong is left out: its controller does not start.
    """
    controllers = [
        name
        for name, raw in database.raw.items()
        if isinstance(raw, dict) and raw.get("type") == "controller"
    ]
    allowed: dict[str, Any] = {}
    for name in controllers:
        try:
            allowed[name] = getattr(database.resolve(name).entry, "allow", None)
        except DeviceDBError:
            continue
    restricted = {name for name, allow in allowed.items() if allow is not None}
    lines = lines_of(Path(database.origin), "allow") if restricted else {}
    devices = {
        name: {
            "place": f"{database.origin}:{lines[name]}" if name in lines else database.origin,
            "allow": None if allow is None else {person: list(words) for person, words in allow.items()},
        }
        for name, allow in allowed.items()
    }
    return json.dumps({"devices": devices}, indent=1)


def lines_of(path: Path, key: str) -> dict[str, int]:
    """Return the line of a key in each entry that has it; nothing where the file cannot be run in the sandbox.

    The file is run once more, because a plain run does not know where a value was written.
    """
    if not path.is_file():  # a master's database
        return {}
    facts = run_file(path, time_limit=_SECONDS)
    if "root" not in facts.picture:
        return {}
    found: dict[str, int] = {}
    for name, node in decode(facts.picture["root"]).children.items():
        if isinstance(node.value, dict) and key in node.value:
            site = node.key_at(key)
            place = facts.place(site if site != NOWHERE else node.site)
            if place is not None and isinstance(name, str):
                found[name] = place.line
    return found

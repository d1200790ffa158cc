"""Rules about names: the keys of the database."""

from collections.abc import Iterator

from devicedb.check.laboratory import Entry, Laboratory, kind_of, shown
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule

GOOD = 'device_db = {"camera_1": {"type": "dummy"}}\n'


@database_rule(
    "DDB101",
    Severity.ERROR,
    "name is not a string",
    why="get_device takes a str; the master's dashboard and the controller manager sort names and fail on others.",
    bad='device_db = {1: {"type": "dummy"}}\n',
    good=GOOD,
)
def key_is_no_string(lab: Laboratory) -> Iterator[Hit]:
    """A key of the database is no str."""
    for key, site in lab.odd_keys:
        text = f"the name {shown(key)} is a {kind_of(key)}; names are strings"
        yield Hit(site, text, f'write "{key}"' if isinstance(key, int) and abs(key) < 10**9 else "")


@entry_rule(
    "DDB102",
    Severity.WARNING,
    "name that other tools stumble over",
    why="Controllers are run and logged under their names: `LEVEL:name:message`. A colon or a line break in the "
    "name tears the log apart, white space does the same to command lines.",
    bad='device_db = {"camera 1": {"type": "dummy"}}\n',
    good=GOOD,
)
def awkward_name(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A name is empty or holds white space, a line break or a colon."""
    name = entry.name
    if name and ":" not in name and len(name.split()) == 1 and name.strip() == name:
        return
    faults = []
    if not name:
        faults.append("is empty")
    if "\n" in name or "\r" in name:
        faults.append("holds a line break")
    elif any(map(str.isspace, name)):
        faults.append("holds white space")
    if ":" in name:
        faults.append("holds a colon")
    better = "_".join(name.replace(":", " ").split())
    hint = f"call it {better!r}" if better and better not in lab.entries else ""
    yield Hit(entry.key_site, f"the name {name!r} {' and '.join(faults)}", hint, name)

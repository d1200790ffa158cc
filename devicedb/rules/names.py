"""Rules about names: the keys of the database."""

from collections.abc import Iterator

from devicedb.model.database import CheckedDatabase, Entry, kind_of, shown
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule

GOOD = 'device_db = {"camera_1": {"type": "dummy"}}\n'


@database_rule(
    "DDB101",
    Severity.ERROR,
    "name is not a string",
    why="get_device takes a str; the dashboard and the controller manager sort names and fail on other types.",
    bad='device_db = {1: {"type": "dummy"}}\n',
    good=GOOD,
)
def key_is_no_string(db: CheckedDatabase) -> Iterator[Hit]:
    for key, site in db.odd_keys:
        text = f"the name {shown(key)} is {kind_of(key)}; names are strings"
        yield Hit(site, text, f'write "{key}"' if isinstance(key, int) and abs(key) < 10**9 else "")


@entry_rule(
    "DDB102",
    Severity.WARNING,
    "name that other tools cannot handle",
    why="Controllers are run and logged under their names: `LEVEL:name:message`. A colon or a line break in the "
    "name tears the log apart, white space does the same to command lines.",
    bad='device_db = {"camera 1": {"type": "dummy"}}\n',
    good=GOOD,
)
def awkward_name(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if swallowed_name(entry.name):
        return  # DDB116
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
    hint = f"call it {better!r}" if better and better not in db.entries else ""
    yield Hit(entry.key_site, f"the name {name!r} {' and '.join(faults)}", hint, name)


def swallowed_name(name: str) -> str | None:
    """Return the name that stands after a quoted block, None for a name that is not glued to one."""
    block, newline, last = name.rpartition("\n")
    return last if newline and last.strip() and any(mark in block for mark in ":{},") else None


@entry_rule(
    "DDB116",
    Severity.ERROR,
    "quoted block joined to the next name",
    why="Quotes around lines of a dict are no comment: Python joins the string to the next one, so the next name holds "
    "the whole block.",
    bad='device_db = {\n"""\n    "ttl0": {"type": "dummy"},\n"""\n    "ttl1": {"type": "dummy"},\n}\n',
    good='device_db = {\n    # "ttl0": {"type": "dummy"},\n    "ttl1": {"type": "dummy"},\n}\n',
)
def quoted_block(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    found = [(entry.name, entry.key_site, "the database")]
    found += [(key, entry.key_at(key), repr(entry.name)) for key in entry.raw if isinstance(key, str)]
    for name, site, where in found:
        last = swallowed_name(name)
        if last is None:
            continue
        lines = name.strip().count("\n")
        text = (
            f"{last!r} is not in {where}: the quoted block of {lines} line{'s' if lines > 1 else ''} before it is "
            "joined to its name"
        )
        yield Hit(site, text, "comment the lines out with #", last if name == entry.name else entry.name)

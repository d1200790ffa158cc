"""The tables of the index, and the rows that the facts of a run become. Pure: no file is opened here.

The text of the facts is what is kept; columns and values are derived from it, so that SQL can search them. A
checksum over text and signature tells whether a row is what was written.
"""

import math
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from rexec.catalogue.facts import NamedValue, RunFacts, storable
from rexec.catalogue.listing import FileSignature
from rexec.catalogue.notes import RunNotes

VERSION: Final = 3
"""Version of the tables. An index of another version is not read."""

APPLICATION: Final = 0x52584958
"""SQLite's application id of the index ("RXIX")."""

COLUMNS: Final = (
    "kind", "rid", "class", "status", "time", "person", "host", "program", "file", "db", "git", "dirty", "simulated",
)  # fmt: skip
"""Columns of `run` that are derived from the facts, in the order of `columns`."""

NAMED: Final = frozenset({"class", "person", "host", "program", "file", "db", "git"})
"""Columns whose texts, which repeat, are in `name`, with the column as the section. 0: an empty text."""

TABLES: Final = (
    "CREATE TABLE folder (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, mtime INTEGER, inode INTEGER)",
    "CREATE TABLE run (id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, name BLOB NOT NULL, size INTEGER, "
    "mtime INTEGER, inode INTEGER, journal TEXT, notes TEXT, settled INTEGER, live TEXT, "
    f"{', '.join(COLUMNS)}, UNIQUE (folder, name))",
    "CREATE INDEX run_time ON run (time)",
    "CREATE INDEX run_rid ON run (rid)",
    "CREATE INDEX run_unsettled ON run (settled) WHERE settled = 0",
    "CREATE TABLE fact (run INTEGER PRIMARY KEY, text TEXT, comment TEXT, tags TEXT, crc INTEGER)",
    "CREATE TABLE search (run INTEGER PRIMARY KEY, text TEXT)",
    "CREATE TABLE name (id INTEGER PRIMARY KEY, section TEXT, text TEXT, UNIQUE (section, text))",
    "CREATE TABLE value (name INTEGER, run INTEGER, number REAL, text TEXT, unit TEXT NOT NULL, scale REAL NOT NULL, "
    "PRIMARY KEY (name, run)) WITHOUT ROWID",
    "CREATE INDEX value_number ON value (name, unit, scale, number) WHERE number IS NOT NULL",
    "CREATE INDEX value_text ON value (name, text) WHERE text IS NOT NULL",
)

ARGUMENT, DATASET, DEVICE, CODE, TAG = "argument", "dataset", "device", "code", "tag"


class Value(NamedTuple):
    """One row of `value`, with the name in place of its number.

    Attributes:
        section: What has the name: an argument, a dataset, a device, a source text, a tag.
        name: The name.
        number: Its value, if that is a number or a bool.
        text: Its value, if that is text, or a number that is none (NaN).
        unit: Its unit; "" without one.
        scale: Its scale.

    """

    section: str
    name: str
    number: float | None = None
    text: str | None = None
    unit: str = ""
    scale: float = 1.0


def columns(facts: RunFacts, live: str) -> tuple[Any, ...]:
    """Return the columns of a run.

    Args:
        facts: Its facts.
        live: "running" or "killed" where its journal says so, else "".

    """
    return (
        facts.kind,
        facts.rid if facts.rid is not None and -(2**63) <= facts.rid < 2**63 else None,
        storable(facts.class_name),
        live or facts.status,
        facts.time,
        storable(facts.person),
        storable(facts.host),
        storable(facts.program),
        storable(facts.file),
        facts.database,
        facts.commit,
        None if facts.dirty is None else int(facts.dirty),
        int(facts.simulated),
    )


def values(facts: RunFacts, notes: RunNotes) -> Iterator[Value]:
    """Yield the values of a run; no two have one section and name."""
    for section, named in ((ARGUMENT, facts.arguments), (DATASET, facts.datasets)):
        for name, value in named.items():
            yield Value(section, storable(name), *_cells(value))
    for section, names in ((DEVICE, facts.devices), (CODE, facts.codes), (TAG, notes.tags)):
        for name in dict.fromkeys(map(storable, names)):
            yield Value(section, name)


def _cells(value: NamedValue) -> tuple[float | None, str | None, str, float]:
    number, text = None, None
    if isinstance(value.value, str):
        text = storable(value.value)
    elif value.value is not None:
        try:
            number = float(value.value)
        except OverflowError:
            number = math.inf if value.value > 0 else -math.inf
        if math.isnan(number):  # SQLite has no NaN
            number, text = None, "nan"
    return number, text, storable(value.unit), 1.0 if math.isnan(value.scale) else value.scale


def searched(facts: RunFacts, notes: RunNotes, name: str) -> str:
    """Return the text in which free text is looked for: class, arguments, comment, tags and the name of the file."""
    parts = [facts.class_name, name, notes.comment, *notes.tags]
    parts += [f"{key}={shown_value(value)}" for key, value in facts.arguments.items()]
    return storable("\n".join(parts)).casefold()


def shown_value(value: NamedValue) -> str:
    """Return a value in a few words."""
    if value.value is None:
        return value.text
    return value.value if isinstance(value.value, str) else repr(value.value)


def checksum(text: str, signature: FileSignature, notes: RunNotes) -> int:
    """Return the checksum of a row: of the facts, and of what says that they are still true."""
    return zlib.crc32(repr((text, tuple(signature), tuple(notes))).encode("utf-8", "backslashreplace"))

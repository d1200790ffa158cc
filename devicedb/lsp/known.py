"""What is known of a database while its file is edited: by reading the text, and by the last run of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from devicedb.database import DeviceDatabase
from devicedb.describe import describe
from devicedb.drivers.signatures import Drivers
from devicedb.errors import DeviceDBError
from devicedb.lsp.buffer import BufferText, line_now
from devicedb.model.database import CheckedDatabase, Entry
from devicedb.model.facts import FileFacts
from devicedb.model.located import UNKNOWN, Node
from devicedb.place import Place


@dataclass(frozen=True)
class View:
    """A database as one check has seen it."""

    buffer: BufferText
    """The text that was checked."""
    facts: FileFacts
    database: CheckedDatabase

    @property
    def is_whole(self) -> bool:
        """Whether nothing is unknown."""
        return not self.facts.unknown and self.database.is_complete


@dataclass(frozen=True)
class Known:
    """The names of a database and what they stand for."""

    path: str
    buffer: BufferText
    """The present text."""
    static: View | None = None
    """By reading the text, the last one without a syntax error."""
    ran: View | None = None
    """By running the file, the last time that it defined a database."""

    @property
    def is_run(self) -> bool:
        """Whether the present text has been run."""
        return self.ran is not None and self.ran.buffer.text == self.buffer.text

    @cached_property
    def entries(self) -> Mapping[str, tuple[View, Entry]]:
        """Every name, its entry and the view that has it; the newest of what is certain."""
        found: dict[str, tuple[View, Entry]] = {}
        views = [each for each in (self.static, self.ran) if each is not None]
        if self.ran is not None and self.is_run:
            views = [self.ran]
        elif self.static is not None and self.static.is_whole:
            views = [self.static]
        for view in views:
            for name, entry in view.database.entries.items():
                if name not in found or (view is self.ran and not is_certain(found[name][1].node)):
                    found[name] = (view, entry)
        return found

    @property
    def drivers(self) -> Drivers:
        """The look-up of drivers."""
        view = self.static or self.ran
        return view.database.drivers if view is not None else Drivers()

    @cached_property
    def database(self) -> DeviceDatabase:
        """The database, for a look-up of names."""
        return DeviceDatabase(
            {name: entry.node.value for name, (_, entry) in self.entries.items()}, self.path
        )

    def kind(self, name: str) -> str:
        """Return the kind of an entry ("alias" for an alias), "" if it is none."""
        found = self.entries.get(name)
        return found[1].kind if found is not None else ""

    def behind(self, name: str) -> Entry | None:
        """Return the entry that a name leads to, None if it leads nowhere."""
        seen: set[str] = set()
        while self.kind(name) == "alias" and name not in seen:
            seen.add(name)
            name = self.entries[name][1].node.value
        found = self.entries.get(name)
        return found[1] if found is not None and found[1].kind != "alias" else None

    def shown(self, name: str) -> str:
        """Return what `devicedb show NAME` prints."""
        try:
            return "\n".join(describe(self.database, name))
        except DeviceDBError as error:
            return str(error)

    def place(self, name: str) -> Place | None:
        """Return where an entry is, None where that is not known; lines are those of the present text."""
        found = self.entries.get(name)
        if found is None:
            return None
        view, entry = found
        place = view.facts.place(entry.key_site) or view.facts.place(entry.node.site)
        if place is None or place.file != self.path:
            return place
        line = line_now(view.buffer, place.line - 1, self.buffer) + 1
        return Place(place.file, line, place.column, line + place.end_line - place.line, place.end_column)


def is_certain(node: Node) -> bool:
    """Whether nothing inside a value is unknown."""
    return _is_certain(node.value, 0)


def _is_certain(value: Any, depth: int) -> bool:
    if value is UNKNOWN or depth > 20:
        return False
    if isinstance(value, dict):
        return all(_is_certain(each, depth + 1) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_is_certain(each, depth + 1) for each in value)
    return True

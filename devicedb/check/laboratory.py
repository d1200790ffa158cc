"""What rules ask about a device database: entries by type, where aliases lead, which drivers there are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from devicedb.check.located import NOWHERE, UNKNOWN, Node
from devicedb.drivers.signatures import Drivers
from devicedb.drivers.usage import Usage
from devicedb.suggest import did_you_mean

TYPES: Final = ("local", "controller", "controller_aux_target", "dummy")


class Entry:
    """One name of the database and what it holds.

    Attributes:
        name: The name.
        node: What it holds, with places.
        key_site: Where the name is written.
        raw: The dict that it holds, empty where it holds anything else.
        kind: Its `type` where that is one that ARTIQ knows, "alias" for a str, "" otherwise.

    """

    __slots__ = ("key_site", "kind", "name", "node", "raw")

    def __init__(self, name: str, node: Node, key_site: int) -> None:
        self.name = name
        self.node = node
        self.key_site = key_site
        self.raw: dict[Any, Any] = node.value if isinstance(node.value, dict) else {}
        kind = self.raw.get("type")
        self.kind = kind if isinstance(kind, str) and kind in TYPES else ""
        if isinstance(node.value, str):
            self.kind = "alias"

    def at(self, *path: Any) -> int:
        """Return the site of a value inside the entry, the nearest known one."""
        site = self.node.at(*path)
        return site if site != NOWHERE else self.key_site

    def key_at(self, key: Any) -> int:
        """Return the site of a key of the entry."""
        site = self.node.key_at(key)
        return site if site != NOWHERE else self.key_site

    def text(self, key: str) -> str | None:
        """Return a field that is a str, None where it is anything else."""
        value = self.raw.get(key)
        return value if isinstance(value, str) else None

    @property
    def arguments(self) -> dict[Any, Any]:
        """The arguments of a local device, empty where they are no dict."""
        value = self.raw.get("arguments")
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Walk:
    """Where a name leads through aliases."""

    chain: tuple[str, ...]
    end: str | None
    """Name of the entry at the end; None: it leads nowhere."""
    is_loop: bool = False


@dataclass(frozen=True)
class Laboratory:
    """A device database and its surroundings, as rules see them."""

    root: Node
    drivers: Drivers = field(default_factory=Drivers)
    usage: Usage | None = None
    """What experiments ask for; None where none were given."""
    folder: str = "."
    """Where the file is; commands name scripts relative to it."""
    is_complete: bool = True
    """False: the file was not run, so that there may be more names than are known."""
    walks: dict[str, Walk] = field(default_factory=dict, compare=False)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every name that is a str, in the order of the file."""
        node = self.root
        return {
            name: Entry(name, child, node.key_at(name))
            for name, child in node.children.items()
            if isinstance(name, str)
        }

    @cached_property
    def odd_keys(self) -> list[tuple[Any, int]]:
        """Every key that is no str, with its site."""
        return [(key, self.root.key_at(key)) for key in self.root.children if not isinstance(key, str)]

    def of_kind(self, *kinds: str) -> Iterator[Entry]:
        """Entries of these kinds, in the order of the file."""
        return (entry for entry in self.entries.values() if entry.kind in kinds)

    def knows(self, name: str) -> bool:
        """Whether a name is in the database, or may be for all that is known."""
        return not self.is_complete or name in self.entries

    def suggestion(self, name: str) -> str:
        """Return " Did you mean 'X'?" for a name that is not there, or nothing."""
        return did_you_mean(name, self.entries)

    def walk(self, name: str) -> Walk:
        """Follow aliases from a name; each name is followed once, however often it is asked for."""
        if name in self.walks:
            return self.walks[name]
        chain: list[str] = []
        current = name
        seen: set[str] = set()
        found: Walk | None = None
        while found is None:
            chain.append(current)
            entry = self.entries.get(current)
            if entry is None:
                found = Walk(tuple(chain), None)
            elif current in seen:
                found = Walk(tuple(chain), None, is_loop=True)
            elif entry.kind != "alias":
                found = Walk(tuple(chain), current)
            elif current in self.walks and current != name:
                rest = self.walks[current]
                found = Walk((*chain, *rest.chain[1:]), rest.end, rest.is_loop)
            else:
                seen.add(current)
                current = entry.node.value
        self.walks[name] = found
        return found

    def entry_behind(self, name: object) -> Entry | None:
        """Return the entry that a name leads to, None where it leads nowhere."""
        if not isinstance(name, str):
            return None
        end = self.walk(name).end
        return self.entries[end] if end is not None else None

    @cached_property
    def rexec_controllers(self) -> dict[str, list[Entry]]:
        """Controllers by name, with the entries of their remote execution targets."""
        found: dict[str, list[Entry]] = {}
        for entry in self.of_kind("controller_aux_target", "controller"):
            target = entry.text("target_name")
            if target is None or "rexec" not in target:
                continue
            behind = self.entry_behind(entry.raw.get("controller")) if entry.kind != "controller" else entry
            if behind is not None and behind.kind == "controller":
                found.setdefault(behind.name, []).append(entry)
        return found


LOOPBACK: Final = frozenset({"::1", "localhost", "127.0.0.1", "ip6-localhost"})


def is_loopback(host: object) -> bool:
    """Whether a host is this machine itself."""
    return isinstance(host, str) and (host in LOOPBACK or host.startswith("127."))


def is_known(value: Any) -> bool:
    """Whether a value is known: without running the file some are not."""
    return value is not UNKNOWN


def kind_of(value: Any) -> str:
    """Return the name of a value's type for a message."""
    from devicedb.check.located import Opaque

    if isinstance(value, Opaque):
        return value.type_name
    return type(value).__name__


def shown(value: Any) -> str:
    """Return a value for a message, cut to what fits a line."""
    from devicedb.check.located import Opaque

    text = value.text if isinstance(value, Opaque) else _repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _repr(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**50:
        return "a huge number"
    if isinstance(value, dict | list | tuple) and len(value) > 3:
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)

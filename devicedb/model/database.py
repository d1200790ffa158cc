"""A device database as rules see it: entries by type, aliases, drivers."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from devicedb.drivers.signatures import Drivers
from devicedb.drivers.usage import VIRTUAL, Usage
from devicedb.model.located import NOWHERE, UNKNOWN, Node
from devicedb.suggest import did_you_mean

MOST_SUGGESTIONS: Final = 200
"""Unknown names of a database for which a similar one is looked for."""
TYPES: Final = ("local", "controller", "controller_aux_target", "dummy")


class Entry:
    """One name of the database and its value.

    Attributes:
        name: The name.
        node: Its value, with places.
        key_site: Site of the name.
        raw: Its dict; empty if the value is not a dict.
        kind: Its `type` if ARTIQ knows it, "alias" for a str, else "".
        arguments: The arguments of a local device; empty if they are not a dict.
        driver: Module and class of a local device; None if one is missing, empty or no str.

    """

    __slots__ = ("arguments", "driver", "key_site", "kind", "name", "node", "raw")

    def __init__(self, name: str, node: Node, key_site: int) -> None:
        self.name = name
        self.node = node
        self.key_site = key_site
        self.raw: dict[Any, Any] = node.value if isinstance(node.value, dict) else {}
        kind = self.raw.get("type")
        self.kind = kind if isinstance(kind, str) and kind in TYPES else ""
        if isinstance(node.value, str):
            self.kind = "alias"
        arguments = self.raw.get("arguments")
        self.arguments: dict[Any, Any] = arguments if isinstance(arguments, dict) else {}
        module, class_ = self.raw.get("module"), self.raw.get("class")
        is_named = isinstance(module, str) and isinstance(class_, str) and module and class_
        self.driver: tuple[str, str] | None = (module, class_) if is_named else None  # type: ignore[assignment]

    def at(self, *path: Any) -> int:
        """Return the site of a value inside the entry, or the nearest known one."""
        site = self.node.at(*path)
        return site if site != NOWHERE else self.key_site

    def key_at(self, key: Any) -> int:
        """Return the site of a key of the entry."""
        site = self.node.key_at(key)
        return site if site != NOWHERE else self.key_site

    def text(self, key: str) -> str | None:
        """Return a field if it is a str, else None."""
        value = self.raw.get(key)
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Walk:
    """Where a name leads through aliases."""

    end: str | None
    """Name of the entry at the end; None: it leads nowhere."""
    is_loop: bool = False


@dataclass(frozen=True)
class CheckedDatabase:
    """A device database, its drivers and its experiments, as rules see them."""

    root: Node
    drivers: Drivers = field(default_factory=Drivers)
    usage: Usage | None = None
    """What experiments ask for; None: no experiments were given."""
    folder: str = "."
    """Where the file is; commands name scripts relative to it."""
    is_complete: bool = True
    """False: the file was not run, so it may define more names."""
    constructed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What constructing local devices raised: `kind` and `text` by entry; empty without --construct."""
    walks: dict[str, Walk] = field(default_factory=dict, compare=False)
    suggestions: dict[str, str] = field(default_factory=dict, compare=False)

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
        """Whether a name is in the database, or may be (file not run)."""
        return not self.is_complete or name in self.entries

    def provides(self, name: str) -> bool:
        """Whether a device manager can find a name: in the database, or among the devices that every master adds."""
        return name in VIRTUAL or self.knows(name)

    def suggestion(self, name: str) -> str:
        """Return " Did you mean 'X'?" for an unknown name, or "".

        Each comparison with all names is made once, and only for the first unknown names: cost must not grow with the
        square of a database whose names are all wrong.
        """
        if name not in self.suggestions:
            is_one_more = len(self.suggestions) < MOST_SUGGESTIONS
            self.suggestions[name] = did_you_mean(name, self.entries) if is_one_more else ""
        return self.suggestions[name]

    def walk(self, name: str) -> Walk:
        """Follow aliases from a name. Each alias is followed once, however many names lead through it."""
        passed: list[str] = []
        seen: set[str] = set()
        current = name
        while current not in self.walks:
            entry = self.entries.get(current)
            if current in seen:
                self.walks[current] = Walk(None, is_loop=True)
            elif entry is None or entry.kind != "alias":
                self.walks[current] = Walk(current if entry is not None else None)
            else:
                seen.add(current)
                passed.append(current)
                current = entry.node.value
        found = self.walks[current]
        self.walks.update(dict.fromkeys(passed, found))
        return found

    def chain(self, name: str, most: int = 8) -> list[str]:
        """Return the names that a name leads through, at most so many, "..." if there are more."""
        chain = [name]
        while (entry := self.entries.get(chain[-1])) is not None and entry.kind == "alias":
            chain.append(entry.node.value)
            if entry.node.value in chain[:-1]:
                break
            if len(chain) == most:
                return [*chain[:-1], "..."]
        return chain

    def entry_behind(self, name: object) -> Entry | None:
        """Return the entry that a name leads to, or None."""
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


_NESTED: Final = reprlib.Repr()
_NESTED.maxlevel = 2
_NESTED.maxstring = _NESTED.maxother = 60
"""For containers: a value that holds another twice, which holds another twice, has no end worth showing."""

LOOPBACK: Final = frozenset({"::1", "localhost", "127.0.0.1", "ip6-localhost"})


def is_loopback(host: object) -> bool:
    """Whether a host is this machine."""
    return isinstance(host, str) and (host in LOOPBACK or host.startswith("127."))


def is_known(value: Any) -> bool:
    """Whether a value is known: without running the file some are not."""
    return value is not UNKNOWN


def kind_of(value: Any) -> str:
    """Return the name of a value's type for a message, with its article."""
    from devicedb.model.located import Opaque

    if value is None:
        return "no value"
    name = value.type_name if isinstance(value, Opaque) else type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def shown(value: Any) -> str:
    """Return a value for a message, cut to what fits a line."""
    from devicedb.model.located import Opaque

    text = value.text if isinstance(value, Opaque) else _repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _repr(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**50:
        return "a huge number"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}" if len(value) > 3 else _NESTED.repr(value)
    return repr(value)

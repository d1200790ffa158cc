"""A device database as the child process drew it: plain values, each with the number of its site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from types import MappingProxyType
from typing import Any, Final

NOWHERE: Final = -1
"""The site of a value without a known place."""


@dataclass(frozen=True)
class Opaque:
    """Stands for an object that is no plain value."""

    type_name: str
    text: str

    def __repr__(self) -> str:
        return f"<{self.text}>"


UNKNOWN: Final = Opaque("unknown", "what only running the file would tell")
"""A value that a check without running the file cannot know. No rule may say a word about it."""


_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
"""What every value holds that is no container."""


class Node:
    """A value, the site that made it, and the nodes of what it holds.

    Attributes:
        value: The plain value; objects that are none are `Opaque`.
        site: Index into the table of sites, or NOWHERE.
        children: For a dict {key: node}, for a list, tuple or set {index: node}, empty otherwise.
        key_sites: For a dict {key: site of the key}.

    """

    __slots__ = ("children", "key_sites", "site", "value")

    def __init__(self, value: Any, site: int = NOWHERE, children: "dict[Any, Node] | None" = None) -> None:
        self.value = value
        self.site = site
        self.children: Mapping[Any, Node] = _NOTHING if children is None else children
        self.key_sites: Mapping[Any, int] = _NOTHING

    def at(self, *path: Any) -> int:
        """Return the site of the value at a path, or of the nearest container of it that has one."""
        node, site = self, self.site
        for step in path:
            child = node.children.get(step)
            if child is None:
                break
            node = child
            site = node.site if node.site != NOWHERE else site
        return site

    def key_at(self, key: Any) -> int:
        """Return the site of a key, or of the dict where that is not known."""
        site = self.key_sites.get(key, NOWHERE)
        return site if site != NOWHERE else self.site


def decode(picture: Any) -> Node:
    """Return the tree that a picture (see `devicedb.trace.picture`) draws."""
    return _decode(picture, {})


def outline(picture: Any) -> tuple[str, int]:
    """Return the type of the value that a picture draws, and its site, without decoding what it holds."""
    if type(picture) is list:
        return type(picture[0]).__name__, picture[1]
    kind = "dict" if "d" in picture else picture["k"] if "l" in picture else picture["o"][0]
    return kind, picture["s"]


def _decode(node: Any, drawn: dict[int, Node]) -> Node:
    if type(node) is list:
        plain, site = node
        return Node(intern(plain) if type(plain) is str else plain, site)
    if "r" in node:
        return drawn[node["r"]]
    if "o" in node:
        kind, text = node["o"]
        return Node(UNKNOWN if kind == UNKNOWN.type_name else Opaque(kind, text), node["s"])
    if node["i"] in drawn:  # a file that was not run: a constant that stands in several places
        return drawn[node["i"]]
    if "d" in node:
        value: dict[Any, Any] = {}
        children: dict[Any, Node] = {}
        key_sites: dict[Any, int] = {}
        found = drawn[node["i"]] = Node(value, node["s"], children)
        found.key_sites = key_sites
        for key_node, child_node in node["d"]:
            if type(key_node) is list:
                key, key_site = key_node
                key = intern(key) if type(key) is str else key
            else:
                decoded = _decode(key_node, drawn)
                key, key_site = hashable(decoded.value), decoded.site
            child = _decode(child_node, drawn)
            value[key] = child.value
            children[key] = child
            key_sites[key] = key_site
        return found
    return _decode_sequence(node, drawn)


def _decode_sequence(node: Any, drawn: dict[int, Node]) -> Node:
    items: list[Any] = []
    children: dict[Any, Node] = {}
    found = drawn[node["i"]] = Node(items, node["s"], children)
    for index, each in enumerate(node["l"]):
        child = _decode(each, drawn)
        items.append(child.value)
        children[index] = child
    if node["k"] == "tuple":
        found.value = tuple(items)
    elif node["k"] != "list":
        found.value = Opaque(node["k"], f"a {node['k']} of {len(items)}")
    return found


def hashable(key: Any) -> Any:
    """Return a key as it is, or something that stands for it where it cannot be a key again."""
    try:
        hash(key)
    except TypeError:
        return Opaque(type(key).__name__, repr(key))
    return key


def from_plain(value: Any) -> Node:
    """Return the tree of a value without known places, for example of a running master."""
    return _from_plain(value, {})


def _from_plain(value: Any, seen: dict[int, Node]) -> Node:
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Mapping):
        plain: dict[Any, Any] = {}
        children: dict[Any, Node] = {}
        found = seen[id(value)] = Node(plain, NOWHERE, children)
        for key, each in value.items():
            child = _from_plain(each, seen)
            plain[key] = child.value
            children[key] = child
        return found
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        items: dict[Any, Node] = {}
        found = seen[id(value)] = Node(value, NOWHERE, items)
        for index, each in enumerate(value):
            items[index] = _from_plain(each, seen)
        return found
    if value is None or isinstance(value, str | int | float | Opaque):
        return Node(value)
    return Node(Opaque(type(value).__name__, "an object"))

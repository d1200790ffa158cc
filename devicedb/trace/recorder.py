"""The functions that instrumented code calls: each does what the original expression did, and notes its place.

Only dicts are recorded (database, entries, arguments). Strings and numbers carry their site
themselves; other values have the site of their slot.
"""

import builtins
from collections.abc import Callable
from typing import Any, Final

from devicedb.trace.sites import SiteTable
from devicedb.trace.tags import PLAIN, tag

Slots = dict[Any, tuple[int | None, int | None]]
"""Key, the sites of its key expression and its value expression."""

STAR: Final = object()
"""Key that stands for `**mapping` in a dict display."""


class SlotSites:
    """Sites of a dict and of its slots."""

    __slots__ = ("container", "site", "slots", "static")

    def __init__(self, container: Any, site: int, static: Slots | None = None) -> None:
        # Keeps the container alive, so that its id is not reused.
        self.container = container
        self.site = site
        self.static = static
        self.slots: Slots | None = None

    def slot(self, key: Any) -> tuple[int | None, int | None]:
        """Return the sites of a key and of its value."""
        if self.slots is not None and key in self.slots:
            return self.slots[key]
        if self.static is not None:
            return self.static.get(key) or self.static.get(STAR) or (None, None)
        return None, None

    def set(self, key: Any, key_site: int | None, value_site: int | None) -> None:
        """Note where a slot was filled last."""
        if self.slots is None:
            self.slots = {}
        self.slots[key] = (key_site, value_site)


class SiteRecorder:
    """The sites of the values that one run makes.

    A site is a stretch of source, as Python's syntax trees have it; see `devicedb.trace.sites`.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.sites = SiteTable()
        self.constants: list[Any] = []
        self.literals: list[Callable[[], Any]] = []
        self.statics: dict[int, Slots] = {}
        self.records: dict[int, SlotSites] = {}
        self.duplicates: list[dict[str, Any]] = []
        self.databases: dict[int, int] = {}
        """File number, the site of what it assigns to `device_db` last."""

    def install(self) -> None:
        """Add the functions that instrumented code calls to the builtins."""
        for name in (
            "tagged",
            "display",
            "merged",
            "literal",
            "setitem",
            "ior",
            "or_",
            "update",
            "dict_",
            "copied",
        ):
            setattr(builtins, f"__ddb_{name.rstrip('_')}__", getattr(self, name))
        builtins.__ddb_constants__ = self.constants  # type: ignore[attr-defined]
        builtins.__ddb_star__ = STAR  # type: ignore[attr-defined]

    def record(self, container: Any) -> SlotSites | None:
        """Return what is known of a dict."""
        return self.records.get(id(container))

    def note(self, container: Any, site: int, static: Slots | None = None) -> SlotSites:
        """Note where a dict was made."""
        record = self.records[id(container)] = SlotSites(container, site, static)
        return record

    def tagged(self, site: int, value: Any) -> Any:
        """Tag new strings and numbers, and note new dicts, that a call or an operation returns."""
        kind = type(value)
        if kind is dict:
            if id(value) not in self.records:
                self.note(value, site)
            return value
        if kind is type:
            return PLAIN.get(value, value)
        return tag(value, site)

    def display(self, site: int, value: dict[Any, Any]) -> dict[Any, Any]:
        """`{...}` and `{... for ...}`, made by the original expression."""
        self.note(value, site, self.statics.get(site))
        return value

    def merged(self, site: int, *parts: Any) -> dict[Any, Any]:
        """`{**a, key: value}` as alternating keys and values; STAR is the key of a mapping."""
        value: dict[Any, Any] = {}
        record = self.note(value, site, self.statics.get(site))
        for key, part in zip(parts[::2], parts[1::2], strict=True):
            if key is STAR:
                value.update(part if hasattr(part, "keys") else {**part})
                self._inherit(record, part, part)
            else:
                value[key] = part
                if record.slots:
                    record.slots.pop(key, None)
        return value

    def literal(self, number: int) -> Any:
        """A display that holds constants only, made anew."""
        return self.literals[number]()

    def setitem(self, site: int, key_site: int, value: Any, container: Any, key: Any) -> None:
        """`container[key] = value`."""
        container[key] = value
        if type(container) is dict:
            record = self.record(container) or self.note(container, site)
            record.set(key, key_site, site)

    def ior(self, site: int, container: Any, other: Any) -> Any:
        """The right side of `container |= other`: the operation itself follows."""
        if type(container) is dict and isinstance(other, dict):
            self._inherit(self.record(container) or self.note(container, site), other, other, site)
        return other

    def or_(self, site: int, left: Any, right: Any) -> Any:
        """`left | right`."""
        value = left | right
        if type(value) is not dict:
            return self.tagged(site, value)
        record = self.note(value, site)
        for part in (left, right):
            if isinstance(part, dict):
                self._inherit(record, part, part)
        return value

    def update(self, site: int, method: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        """`target.update(...)` and `target.setdefault(...)`."""
        was_there = method == "setdefault" and args and type(target) is dict and args[0] in target
        pairs = list(args[0]) if method == "update" and args and _is_iterator(args[0]) else None
        if pairs is not None:
            args = (pairs, *args[1:])
        value = getattr(target, method)(*args, **kwargs)
        if type(target) is dict:
            record = self.record(target) or self.note(target, site)
            if method == "setdefault" and not was_there:
                record.set(args[0], site, site)
            elif method == "update":
                for part in args[:1]:
                    self._inherit(record, part, part if isinstance(part, dict) else dict(part), site)
                self._keywords(record, site, kwargs)
        return self.tagged(site, value)

    def dict_(self, site: int, function: Any, *args: Any, **kwargs: Any) -> Any:
        """`dict(...)`."""
        value = function(*args, **kwargs)
        if type(value) is dict:
            record = self.note(value, site)
            for part in args[:1]:
                if isinstance(part, dict):
                    self._inherit(record, part, part)
            self._keywords(record, site, kwargs)
        return self.tagged(site, value)

    def copied(self, site: int, function: Any, *args: Any, **kwargs: Any) -> Any:
        """`x.copy()`, `copy(x)`, `deepcopy(x)`: the copy's slots are where the original's are."""
        value = function(*args, **kwargs)
        original = args[0] if args else getattr(function, "__self__", None)
        self._twin(original, value, site)
        return self.tagged(site, value)

    def _twin(self, original: Any, copy: Any, site: int, depth: int = 0) -> None:
        if type(copy) is not dict or not isinstance(original, dict) or id(copy) in self.records or depth > 20:
            return
        known = self.record(original)
        self._inherit(self.note(copy, known.site if known else site), original, original)
        for key, value in copy.items():
            self._twin(original.get(key), value, site, depth + 1)

    def _inherit(self, record: SlotSites, source: Any, keys: Any, default: int | None = None) -> None:
        known = self.record(source)
        for key in keys:
            key_site, value_site = known.slot(key) if known else (None, None)
            record.set(key, key_site or default, value_site or default)

    def _keywords(self, record: SlotSites, site: int, kwargs: dict[str, Any]) -> None:
        static = self.statics.get(site) or {}
        for key in kwargs:
            key_site, value_site = static.get(key, (site, site))
            record.set(key, key_site, value_site)


def _is_iterator(value: Any) -> bool:
    """Whether iterating a value exhausts it."""
    return hasattr(value, "__next__")

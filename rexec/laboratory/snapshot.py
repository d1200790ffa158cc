"""A snapshot: parts with versions, and what is new since a version. All of it is immutable."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

NOTHING: Final = -1
"""The version of a reader that has nothing yet."""

FORGETS: Final = 1000
"""Removals that a part remembers."""


@dataclass(frozen=True)
class PartNews:
    """What is new in a part."""

    version: int
    """Version of the part's last change."""
    changed: Mapping[Any, Any]
    """New facts, by key."""
    removed: frozenset[Any] = frozenset()
    """Keys that are gone."""
    is_whole: bool = False
    """Whether `changed` is the whole part, instead of a difference."""


@dataclass(frozen=True)
class News:
    """What is new in a snapshot."""

    epoch: str
    """Name of the snapshot; another one begins with another epoch."""
    version: int
    """Version after the news, to ask with next time."""
    parts: Mapping[str, PartNews]
    """News by part; parts without any are left out."""

    def __bool__(self) -> bool:
        return bool(self.parts)


class SnapshotPart(Mapping[Any, Any]):
    """The facts of one part, by key.

    Args:
        kept: Version of the last change, and the fact, by key.
        version: Version of the last change of all.
        removed: Version and key of what was removed.
        forgotten: Version up to which removals are not remembered.

    """

    __slots__ = ("_forgotten", "_kept", "_removed", "version")

    def __init__(
        self,
        kept: dict[Any, tuple[int, Any]] | None = None,
        version: int = 0,
        removed: tuple[tuple[int, Any], ...] = (),
        forgotten: int = 0,
    ) -> None:
        self._kept = kept if kept is not None else {}
        self._removed = removed
        self._forgotten = forgotten
        self.version: Final = version
        """Version of the last change."""

    def __getitem__(self, key: Any) -> Any:
        return self._kept[key][1]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def since(self, version: int) -> PartNews | None:
        """Return what is new since a version, or None."""
        if self.version <= version:
            return None
        if version < self._forgotten or version == NOTHING:
            return PartNews(self.version, dict(self), is_whole=True)
        changed = {key: fact for key, (at, fact) in self._kept.items() if at > version}
        removed = frozenset(key for at, key in self._removed if at > version and key not in self._kept)
        return PartNews(self.version, changed, removed)

    def after(self, version: int, changes: Mapping[Any, Any | None], most: int | None) -> "SnapshotPart":
        """Return the part after changes.

        Args:
            version: Version of the changes.
            changes: New facts by key; None removes one.
            most: Maximum number of facts; beyond it, those written longest ago are dropped.

        """
        kept, gone = dict(self._kept), []
        for key, fact in changes.items():
            if fact is not None:
                if most is not None:
                    kept.pop(key, None)  # The end of the dict is the latest.
                kept[key] = version, fact
            elif kept.pop(key, None) is not None:
                gone.append((version, key))
        while most is not None and len(kept) > most:
            oldest = next(iter(kept))
            del kept[oldest]
            gone.append((version, oldest))
        removed = (*self._removed, *gone)
        forgotten = removed[-FORGETS - 1][0] if len(removed) > FORGETS else self._forgotten
        return SnapshotPart(kept, version, removed[-FORGETS:], forgotten)


@dataclass(frozen=True)
class Snapshot:
    """What is true of a laboratory at one version."""

    epoch: str
    version: int = 0
    parts: Mapping[str, SnapshotPart] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, part: str) -> SnapshotPart:
        return self.parts[part]

    def since(self, version: int, parts: Iterable[str] | None = None) -> News:
        """Return what is new since a version of this snapshot; see the package.

        Args:
            version: The version; one of another epoch gives everything.
            parts: Names of the parts that are wanted; None: all.

        """
        if version > self.version:
            version = NOTHING  # of another snapshot
        names = self.parts if parts is None else parts
        found = {name: self.parts[name].since(version) for name in names}
        return News(self.epoch, self.version, {name: news for name, news in found.items() if news})


def applied(state: Mapping[str, Mapping[Any, Any]], news: News) -> dict[str, dict[Any, Any]]:
    """Return a reader's facts, by part and key, after news; `state` has those before, and stays as it is."""
    made = {name: dict(facts) for name, facts in state.items()}
    for name, part in news.parts.items():
        facts = made.setdefault(name, {})
        if part.is_whole:
            facts.clear()
        for key in part.removed:
            facts.pop(key, None)
        facts.update(part.changed)
    return made

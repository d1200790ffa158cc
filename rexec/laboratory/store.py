"""The present snapshot: one writer replaces it as a whole, readers take it without a lock."""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from rexec.laboratory.facts import LogFact
from rexec.laboratory.snapshot import News, Snapshot, SnapshotPart

PARTS: Final = ("entries", "controllers", "runs", "schedule", "datasets", "log")

LIMITS: Final[Mapping[str, int]] = {"log": 1000, "runs": 1000}
"""Maximum number of facts of a part; beyond it, those written longest ago are dropped."""


class LiveSnapshot:
    """The present snapshot, for readers of any thread. Reading never blocks, and never delays the writer."""

    def __init__(self) -> None:
        empty = {name: SnapshotPart() for name in PARTS}
        self._now = Snapshot(uuid.uuid4().hex, parts=MappingProxyType(empty))
        self._has_writer = False

    def snapshot(self) -> Snapshot:
        """Return what is true now; it stays as it is."""
        return self._now

    def since(self, version: int, parts: Iterable[str] | None = None) -> News:
        """Return what is new since a version.

        Args:
            version: `News.version` of the last call; `NOTHING` at first.
            parts: The parts to look at; None: all.

        """
        return self._now.since(version, parts)

    def writer(self) -> "SnapshotWriter":
        """Return the writer; RuntimeError if it was taken already."""
        if self._has_writer:
            raise RuntimeError("the snapshot has a writer already: pass that one on")
        self._has_writer = True
        return SnapshotWriter(self._now, self._take)

    def _take(self, snapshot: Snapshot) -> None:
        # One reference is replaced: a reader has the snapshot before or the one after.
        self._now = snapshot


class SnapshotWriter:
    """Changes a snapshot; gatherers of any thread share it, one change at a time.

    A fact equal to the present one is no change.

    Args:
        now: The present snapshot.
        publish: Called with the next one.

    """

    def __init__(self, now: Snapshot, publish: Callable[[Snapshot], None]) -> None:
        self._now = now
        self._publish_next = publish
        self._lock = threading.RLock()
        self._pending: dict[str, dict[Any, Any | None]] | None = None
        self._logged = 0

    def put(self, part: str, key: Any, fact: Any) -> None:
        """Set a fact of a part, under a key."""
        self.write({part: {key: fact}})

    def remove(self, part: str, key: Any) -> None:
        """Remove a fact of a part, if it is there."""
        self.write({part: {key: None}})

    def become(self, part: str, facts: Mapping[Any, Any]) -> None:
        """Make a part equal to a mapping, the facts by key."""
        with self._lock:
            gone = dict.fromkeys(key for key in self._present(part) if key not in facts)
            self.write({part: {**gone, **facts}})

    def amend(self, part: str, key: Any, change: Callable[[Any | None], Any | None]) -> None:
        """Replace a fact of a part by what `change` makes of it; None stands for no fact, before and after.

        `change` must not wait for anything: other gatherers wait for it.
        """
        with self._lock:
            self.write({part: {key: change(self._fact(part, key))}})

    def log(self, fact: LogFact) -> None:
        """Add a fact, a line, to the log, under the next number."""
        with self._lock:
            self._logged += 1
            self.write({"log": {self._logged: replace(fact, number=self._logged)}})

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all changes in the context one version: readers see all or none; none if the context raises."""
        with self._lock:
            if self._pending is not None:
                yield
                return
            self._pending = {}
            try:
                yield
                changes, self._pending = self._pending, None
                self._publish(changes)
            finally:
                self._pending = None

    def write(self, changes: Mapping[str, Mapping[Any, Any | None]]) -> None:
        """Make changes of one version: facts by part and key; None removes one."""
        with self._lock:
            if self._pending is None:
                self._publish(changes)
                return
            for part, facts in changes.items():
                self._pending.setdefault(part, {}).update(facts)

    def _present(self, part: str) -> dict[Any, Any]:
        found = dict(self._now[part])
        found.update((self._pending or {}).get(part, {}))
        return {key: fact for key, fact in found.items() if fact is not None}

    def _fact(self, part: str, key: Any) -> Any | None:
        pending = (self._pending or {}).get(part, {})
        return pending[key] if key in pending else self._now[part].get(key)

    def _publish(self, changes: Mapping[str, Mapping[Any, Any | None]]) -> None:
        now = self._now
        version = now.version + 1
        parts = dict(now.parts)
        is_other = False
        for name, facts in changes.items():
            part = parts[name]
            other = {key: fact for key, fact in facts.items() if part.get(key) != fact}
            if other:
                parts[name] = part.after(version, other, LIMITS.get(name))
                is_other = True
        if is_other:
            self._now = Snapshot(now.epoch, version, MappingProxyType(parts))
            self._publish_next(self._now)

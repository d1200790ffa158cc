"""Gatherers of any thread share the writer of the snapshot."""

from typing import Any

import pytest

from rexec.laboratory.facts import LogFact
from rexec.laboratory.store import LiveSnapshot, SnapshotWriter
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

FILES = ("rexec/laboratory/store.py",)


class Shared:
    """A snapshot and its writer."""

    def __init__(self) -> None:
        self.live = LiveSnapshot()
        self.writer: SnapshotWriter = self.live.writer()
        self.writer.put("datasets", "counter", 0)

    def count(self) -> None:
        self.writer.amend("datasets", "counter", lambda number: (number or 0) + 1)

    def seen(self) -> Any:
        now = self.live.snapshot()
        return now.version, {part: dict(now[part]) for part in ("datasets", "runs", "log")}


def together(shared: Shared) -> Any:
    with shared.writer.together():
        shared.writer.put("datasets", "a", 1)
        shared.writer.put("runs", "a", 1)
        shared.writer.amend("runs", "a", lambda number: (number or 0) + 1)


def note(shared: Shared) -> None:
    shared.writer.log(LogFact(time=0.0, level=20, source="x", text="x"))


PAIRS: dict[str, tuple[Any, Any]] = {
    "two facts": (lambda s: s.writer.put("runs", 1, "a"), lambda s: s.writer.put("runs", 2, "b")),
    "two changes of a fact": (Shared.count, Shared.count),
    "a part and a fact": (
        lambda s: s.writer.become("datasets", {"other": 1}),
        lambda s: s.writer.put("datasets", "third", 2),
    ),
    "two states of a part": (
        lambda s: s.writer.become("datasets", {"other": 1}),
        lambda s: s.writer.become("datasets", {"third": 2}),
    ),
    "changes of one version": (together, Shared.count),
    "two lines of the log": (note, note),
}


@pytest.mark.parametrize("name", PAIRS)
def test_no_change_of_a_gatherer_is_lost(name: str) -> None:
    Race(Shared, *PAIRS[name], Shared.seen, FILES).check()


def test_an_interrupt_costs_a_change_whole_and_none_after_it() -> None:
    def check(shared: Shared, raised: bool, where: str) -> None:
        runs = dict(shared.live.snapshot()["runs"])
        assert runs in ({}, {"a": 2}), where
        assert dict(shared.live.snapshot()["datasets"]) == {"counter": 0} | ({"a": 1} if runs else {}), where
        shared.count()
        assert shared.live.snapshot()["datasets"]["counter"] == 1, where

    assert interrupted_everywhere(Shared, together, check, FILES) > 10

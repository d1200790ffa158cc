"""The snapshot: consistent for every reader, whatever the interleaving; differences are as good as the whole."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.laboratory import NOTHING, LiveSnapshot, LogFact, News, Snapshot, applied
from rexec.laboratory.facts import LONGEST_LINE, Rows
from rexec.laboratory.reader import SnapshotReader
from rexec.laboratory.snapshot import FORGETS
from rexec.laboratory.store import LIMITS
from tests.laboratory.stepping import interleaved
from tests.waiting import within

FILES = ("rexec/laboratory/store.py", "rexec/laboratory/snapshot.py")
KEYS = st.sampled_from("abcd")
PARTS = ("controllers", "datasets")
CHANGES = st.dictionaries(
    st.sampled_from(PARTS),
    st.dictionaries(KEYS, st.one_of(st.none(), st.integers(0, 2)), max_size=3),
    max_size=2,
)


def whole(snapshot: Snapshot) -> dict[str, dict[Any, Any]]:
    return {name: dict(part) for name, part in snapshot.parts.items() if part}


def kept(state: dict[str, dict[Any, Any]]) -> dict[str, dict[Any, Any]]:
    return {name: facts for name, facts in state.items() if facts}


def model(history: list[dict[str, dict[str, int | None]]]) -> list[dict[str, dict[str, int]]]:
    """Return the state after each of the changes, the empty one first."""
    state: dict[str, dict[str, int]] = {}
    states: list[dict[str, dict[str, int]]] = [{}]
    for changes in history:
        state = {name: dict(facts) for name, facts in state.items()}
        for part, facts in changes.items():
            for key, fact in facts.items():
                if fact is None:
                    state.get(part, {}).pop(key, None)
                else:
                    state.setdefault(part, {})[key] = fact
        states.append(kept(state))
    return states


class Reading:
    """A reader that applies the news, and checks each state against all that ever were."""

    def __init__(self, laboratory: LiveSnapshot, pulls: int) -> None:
        self.laboratory = laboratory
        self.pulls = pulls
        self.version = NOTHING
        self.state: dict[str, dict[Any, Any]] = {}
        self.seen: list[tuple[int, dict[str, dict[Any, Any]]]] = []

    def pull(self) -> News:
        news = self.laboratory.since(self.version)
        self.state, self.version = applied(self.state, news), news.version
        self.seen.append((news.version, kept(self.state)))
        return news

    def work(self) -> None:
        for _ in range(self.pulls):
            self.pull()


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(CHANGES, max_size=6),
    pulls=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    choices=st.lists(st.integers(0, 3), max_size=150),
)
def test_any_interleaving_gives_each_reader_states_that_were(
    history: list[dict[str, dict[str, int | None]]], pulls: list[int], choices: list[int]
) -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    by_version = {0: whole(laboratory.snapshot())}

    def write() -> None:
        for changes in history:
            writer.write(changes)
            now = laboratory.snapshot()
            by_version[now.version] = whole(now)

    readers = [Reading(laboratory, count) for count in pulls]
    interleaved([write, *(each.work for each in readers)], choices, FILES)
    states = model(history)
    assert by_version[max(by_version)] == states[-1]
    for reader in readers:
        versions = [version for version, _ in reader.seen]
        assert versions == sorted(versions)
        for version, state in reader.seen:
            assert state == by_version[version]
            assert state in states
        reader.pull()
        assert kept(reader.state) == whole(laboratory.snapshot())


def test_a_reader_that_stops_in_the_middle_delays_no_writer() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    writer.write({"datasets": {"a": 1}})
    stopped, go = threading.Event(), threading.Event()

    class Blocking(dict[str, Any]):
        def __iter__(self) -> Any:
            stopped.set()
            assert go.wait(150)
            return super().__iter__()

    reader = threading.Thread(target=lambda: laboratory.since(NOTHING, Blocking({"datasets": 1, "log": 1})))
    reader.start()
    assert stopped.wait(150)
    for number in range(100):
        writer.put("datasets", "a", number)
    assert laboratory.snapshot()["datasets"]["a"] == 99
    go.set()
    reader.join(150)


def test_each_part_has_the_version_of_its_last_change() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    writer.put("runs", 1, "a")
    writer.put("datasets", "x", 1)
    writer.put("datasets", "x", 1)  # no change
    now = laboratory.snapshot()
    assert (now.version, now["runs"].version, now["datasets"].version, now["log"].version) == (2, 1, 2, 0)
    assert laboratory.since(1).parts.keys() == {"datasets"}
    assert not laboratory.since(2)
    assert laboratory.since(1, ["runs"]).parts == {}


def test_changes_together_are_one_version_or_none() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    with writer.together():
        writer.put("runs", 1, "a")
        with writer.together():
            writer.amend("runs", 1, lambda fact: f"{fact}b")
            writer.put("controllers", "c", 3)
        assert laboratory.snapshot().version == 0
    assert laboratory.snapshot().version == 1
    assert whole(laboratory.snapshot()) == {"runs": {1: "ab"}, "controllers": {"c": 3}}
    with contextlib.suppress(KeyError), writer.together():
        writer.remove("runs", 1)
        raise KeyError
    assert laboratory.snapshot().version == 1
    writer.become("controllers", {"d": 4})
    assert dict(laboratory.snapshot()["controllers"]) == {"d": 4}


def test_the_writer_is_one() -> None:
    laboratory = LiveSnapshot()
    laboratory.writer()
    with pytest.raises(RuntimeError, match="has a writer already"):
        laboratory.writer()


def test_a_snapshot_stays_as_it_is() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    writer.put("runs", 1, "a")
    before = laboratory.snapshot()
    writer.put("runs", 2, "b")
    writer.remove("runs", 1)
    assert dict(before["runs"]) == {1: "a"}


def test_a_reader_of_another_snapshot_or_of_long_ago_gets_the_whole() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    writer.put("datasets", "stays", 0)
    assert laboratory.since(99).parts["datasets"].is_whole
    for number in range(FORGETS + 5):
        writer.put("datasets", number, 1)
        writer.remove("datasets", number)
    late = laboratory.since(1).parts["datasets"]
    assert (late.is_whole, dict(late.changed)) == (True, {"stays": 0})
    recent = laboratory.since(laboratory.snapshot().version - 4).parts["datasets"]
    assert not recent.is_whole
    assert recent.removed == {FORGETS + 3, FORGETS + 4}


def test_memory_is_bounded_by_what_is_there() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    reader = Reading(laboratory, 1)
    for number in range(3 * LIMITS["log"]):
        writer.log(LogFact(float(number), 20, "camera", "x" * 10))
        if number == LIMITS["log"] + 10:
            reader.pull()
    lines = laboratory.snapshot()["log"]
    assert len(lines) == LIMITS["log"]
    assert min(lines) == 2 * LIMITS["log"] + 1
    reader.pull()
    assert reader.state["log"] == dict(lines)
    writer.log(LogFact(0.0, 20, "camera", "x" * 10**6))
    assert len(laboratory.snapshot()["log"][3 * LIMITS["log"] + 1].text) == LONGEST_LINE + 3


def test_rows_of_a_growing_dataset_are_shared_and_told_as_what_was_added() -> None:
    rows: list[int] = [1, 2]
    first = Rows(rows)
    rows.append(3)
    second = Rows(rows)
    assert (list(first), list(second), second[-1], first[:9]) == ([1, 2], [1, 2, 3], 3, [1, 2])
    assert second.after(first) == [3]
    assert first.after(second) is None
    assert Rows([1, 2, 3]).after(first) is None
    with pytest.raises(IndexError):
        first[2]


def test_gatherers_share_the_writer() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    line = LogFact(0.0, 20, "camera", "")

    def count(name: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(200):
                writer.amend("datasets", "sum", lambda fact: (fact or 0) + 1)
                writer.log(replace(line, source=name))

        return work

    threads = [threading.Thread(target=count(name)) for name in "abc"]
    for each in threads:
        each.start()
    for each in threads:
        each.join(150)
    assert laboratory.snapshot()["datasets"]["sum"] == 600
    assert list(laboratory.snapshot()["log"]) == list(range(1, 601))


def test_a_face_that_blocks_misses_values_and_ends_with_its_program() -> None:
    laboratory = LiveSnapshot()
    writer = laboratory.writer()
    go, seen = threading.Event(), list[Any]()

    def show(news: News) -> None:
        seen.append(news)
        if len(seen) == 1:
            assert go.wait(150)

    with SnapshotReader(laboratory, show, 0.01):
        assert within(150, lambda: len(seen) == 1)
        for number in range(50):
            writer.put("datasets", "a", number)
        assert len(seen) == 1
        go.set()
    values = [each.parts["datasets"].changed["a"] for each in seen[1:] if "datasets" in each.parts]
    assert values == [49]

"""What of a run is not as it was asked for: each state once, in the journal as soon as there is one and it takes it."""

from typing import Any

import pytest

from rexec.ground import forks
from rexec.results.degraded import DegradedStates
from rexec.results.errors import ResultsError
from rexec.results.journal.records import Kind, Record


class Noting:
    """A journal that takes so many records."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.notes: list[tuple[str, bool]] = []

    def put(self, record: Record) -> None:
        if not self.room:
            raise ResultsError("the disk is full")
        self.room -= 1
        assert (record.kind, record.key) == (Kind.NOTE, "degraded")
        self.notes.append((record.value["text"], record.value["holds"]))


def test_a_state_is_said_once_in_one_line_until_it_is_taken_back() -> None:
    states, journal = DegradedStates(), Noting()
    states.add("no\nclock")
    states.keep_in(journal)  # type: ignore[arg-type]
    states.add("no clock")
    states.add("b")
    states.remove("nothing")
    assert (list(states), journal.notes) == (["no clock", "b"], [("no clock", True), ("b", True)])
    states.remove("no\nclock")
    states.remove("no clock")
    assert (list(states), journal.notes[2:]) == (["b"], [("no clock", False)])
    states.add("no clock")
    assert (list(states), journal.notes[3:]) == (["b", "no clock"], [("no clock", True)])


def test_what_was_not_kept_stays_said_until_it_is_taken_back() -> None:
    states = DegradedStates()
    said = []
    for text, unkept in (
        ("a", False),
        ("a", True),
        ("a", False),
        ("b", False),
        ("a", None),
        ("b", True),
        ("b", None),
    ):
        if unkept is None:
            states.remove(text)
        else:
            states.add(text, unkept=unkept)
        said.append(states.is_unkept)
    assert said == [False, True, True, True, False, True, False]


def test_what_a_full_disk_refuses_is_said_later_in_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    states, journal = DegradedStates(), Noting(room=1)
    states.keep_in(journal)  # type: ignore[arg-type]
    for text in ("a", "b", "c"):
        states.add(text)
    assert journal.notes == [("a", True)]
    assert caplog.messages == [
        f"{count} degraded states are not in the journal yet: the disk is full" for count in (1, 2)
    ]
    journal.room = 100
    states.settle()
    states.settle()
    assert journal.notes == [("a", True), ("b", True), ("c", True)]


def test_a_forked_process_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    states: Any = DegradedStates()
    monkeypatch.setattr(forks, "generation", forks.generation + 1)
    states.add("a")
    assert list(states) == []

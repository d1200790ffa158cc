"""The fold takes any record: what cannot be carried out is a problem in words, and costs nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.ground.plain import Unreadable
from rexec.results.errors import JournalDamaged
from rexec.results.fold import MOST_PROBLEMS, RunState
from rexec.results.item import RowsReleased
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.keeper import Keeper


def put(kind: Kind, key: str = "", value: Any = None, **more: Any) -> Record:
    return Record(kind, key, value=value, **{"metadata": {}, **more})


LIMITS = {"least": -(2**63), "most": 2**63 - 1}
"""The ints of HDF5."""


def folded(*records: Record) -> RunState:
    state = RunState()
    for number, record in enumerate(records, start=1):
        state.apply(record._replace(number=number, time=float(number)))
    return state


def begun(value: Any) -> Record:
    return put(Kind.SET, "x", value, archive=True)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (put(Kind.IDENTITY, value=3), "an identity cannot be 3"),
        (put(Kind.IDENTITY, value={"rid": -1}), "the identity's field 'rid' cannot be -1"),
        (
            put(Kind.IDENTITY, value={"start_time": "now"}),
            "the identity's field 'start_time' cannot be 'now'",
        ),
        (put(Kind.IDENTITY, value={"problems": []}), "the identity's field 'problems' cannot be []"),
        (
            put(Kind.IDENTITY, value={"sources": {"?": ""}}),
            "the identity's field 'sources' cannot be {'?': ''}",
        ),
        (
            put(Kind.APPEND, "n", 1, metadata=None),
            "n: was appended to, but never set; what was appended is kept",
        ),
        (put(Kind.MUTATE, "n", 1, index=0), "n[0]: was changed, but never set"),
        (put(Kind.MUTATE, "x", 1, index=9), "x[9] could not be set: list assignment index out of range"),
        (put(Kind.SET, "s", 1, archive=True, metadata=[2]), "s: its metadata cannot be [2]"),
        (put(Kind.SET, "s", 1, archive=True, metadata={2: 3}), "s: its metadata cannot be {2: 3}"),
        (put(Kind.NOTE, "plot", {"signal": 3}), "the default plot cannot be {'signal': 3}"),
        (put(Kind.NOTE, "degraded", {"text": 3}), "a degraded state cannot be {'text': 3}"),
        (put(Kind.NOTE, "storage", {"x": {"level": 10}}), "level is an int from 0 to 9, not 10"),
        (put(Kind.NOTE, "storage", 3), "storage settings cannot be 3"),
        (put(Kind.END, value=10**5000), "the end of the run cannot be <int>"),
        (put(Kind.UNREADABLE, value="a \ud800 and \0"), "a \\ud800 and \\0"),
        (put(Kind.UNREADABLE, "x", "rot", index=Kind.APPEND), "x: rot"),
        (put(Kind.LOST, "x", "it is nowhere", index=Kind.SET), "x: it is nowhere"),
    ],
    ids=lambda each: each.kind.name if isinstance(each, Record) else "",
)
def test_what_no_run_writes_is_one_problem(record: Record, problem: str) -> None:
    state = folded(begun([1.0]), record, put(Kind.SET, "later", 2, archive=True))
    assert len(state.problems) == 1
    assert problem in state.problems[0]
    assert (state.datasets["x"].value, state.datasets["later"].value) == ([1.0], 2)


def test_nothing_can_be_appended_to_a_number() -> None:
    state = folded(begun(3), put(Kind.APPEND, "x", 4))
    assert state.problems == ["x: nothing can be appended to a int"]
    assert state.datasets["x"].value == 3


def test_of_an_identity_each_field_is_kept_that_a_file_can_hold() -> None:
    given = {"rid": 7, "run_time": None, "artiq_version": "9", "sources": {"ab": "text"}, "rexec": (1, 2)}
    state = folded(
        put(Kind.IDENTITY, value={**given, **LIMITS, "huge": 2**63, "deep": -(2**63) - 1, "a b": 1}),
        put(Kind.IDENTITY, value={"git": {"a": 1}}),
    )
    assert state.identity == {
        **given,
        **LIMITS,
        "rexec": [1, 2],
        "huge": str(2**63),
        "deep": str(-(2**63) - 1),
        "git": {"a": 1},
    }
    assert state.problems == ["the identity's field 'a b' cannot be 1"]


@pytest.mark.parametrize(
    ("index", "edits"),
    [
        (3, [(0, 3, 4)]),
        (-1, [(0, 9, 10)]),
        (slice(2, 5), [(0, 2, 5)]),
        (slice(8, None, -3), [(0, 2, 9)]),
        (slice(4, 4), [(0, 0, 0)]),
        ((6, 0), [(0, 6, 7)]),
        (Ellipsis, []),
        ([1, 2], []),
    ],
    ids=repr,
)
def test_a_change_in_place_says_which_rows_it_reached(index: Any, edits: list[tuple[int, int, int]]) -> None:
    state = folded(begun(np.zeros((10, 2))), put(Kind.MUTATE, "x", 1.0, index=index))
    x = state.datasets["x"]
    assert (x.edits, state.problems) == (edits, [])
    assert (x.generation < 0) == (not edits)  # what reaches no plain rows makes the whole new


def test_a_slice_that_changes_the_length_of_a_list_makes_it_new() -> None:
    state = folded(begun([1, 2, 3]), put(Kind.MUTATE, "x", [8, 9], index=slice(0, 1)))
    x = state.datasets["x"]
    assert (x.value, x.edits, x.generation) == ([8, 9, 2, 3], [], -2)


def test_what_has_no_rows_is_changed_as_a_whole() -> None:
    state = folded(begun({"a": 1}), put(Kind.MUTATE, "x", 2, index="a"))
    assert (state.datasets["x"].value, state.datasets["x"].edits) == ({"a": 2}, [])


def test_a_row_that_only_files_hold_cannot_be_changed_here() -> None:
    state = folded(begun([1, 2, 3]))
    state.datasets["x"].release(2)
    assert state.has_released
    with pytest.raises(RowsReleased):
        state.apply(put(Kind.MUTATE, "x", 4, index=0))


@pytest.mark.parametrize(
    "lost",
    [
        put(Kind.SUPERSEDED, "x", index=Kind.SET),
        put(Kind.LOST, "x", "it is nowhere", index=Kind.SET),
    ],
    ids=["given back", "lost"],
)
def test_a_value_whose_successor_is_missing_stays_as_it_was_until_the_next(lost: Record) -> None:
    changes = put(Kind.APPEND, "x", 2.0), put(Kind.MUTATE, "x", 2.0, index=0)
    state = folded(begun([1.0]), lost, *changes)
    assert (state.datasets["x"].value, state.outdated) == ([1.0], {"x"})
    assert (folded(begun([1.0]), lost, *changes, begun([3.0])).outdated) == set()
    assert folded(begun([1.0]), lost, put(Kind.DELETE, "x")).outdated == set()


def test_an_archived_value_is_given_back_without_a_word() -> None:
    state = folded(put(Kind.ARCHIVE, "x", 1), put(Kind.SUPERSEDED, "x", index=Kind.ARCHIVE))
    assert (state.archive["x"].value, state.outdated, state.problems) == (1, set(), [])


def test_a_value_that_cannot_be_read_is_not_taken_for_the_one_before() -> None:
    state = folded(begun([1.0]), put(Kind.UNREADABLE, "x", "rot", index=Kind.SET, archive=True))
    assert isinstance(state.datasets["x"].value, Unreadable)
    assert (state.unreadable, state.problems) == (1, ["x: rot"])


def test_a_dataset_that_is_no_longer_archived_leaves_the_file() -> None:
    assert not folded(begun([1.0]), put(Kind.SET, "x", 2, archive=False)).datasets


def test_a_degraded_state_holds_until_it_is_taken_back_and_they_are_bounded() -> None:
    def said(text: str, holds: bool) -> Record:
        return put(Kind.NOTE, "degraded", {"text": text, "holds": holds})

    state = folded(said("the disk\nis full", True), said("no clock", True), said("no clock", False))
    assert list(state.degraded) == ["the disk is full"]
    full = folded(*(said(f"fault {number}", True) for number in range(MOST_PROBLEMS + 2)))
    assert len(full.degraded) == MOST_PROBLEMS
    assert full.problems == [f"there are more degraded states: 'fault {MOST_PROBLEMS + n}'" for n in (0, 1)]


def test_a_journal_of_garbage_lists_a_bounded_number_of_problems() -> None:
    state = folded(*(put(Kind.MUTATE, f"k{number}", 1, index=0) for number in range(MOST_PROBLEMS + 9)))
    assert len(state.problems) == MOST_PROBLEMS + 1
    assert state.problems[-1] == "there are more problems, which are not listed"


def test_notes_and_the_end_are_kept() -> None:
    state = folded(
        put(Kind.NOTE, "plot", {"signal": "y", "axes": ["x"]}),
        put(Kind.NOTE, "storage", {"y": {"compression": "lzf"}}),
        put(Kind.NOTE, "anything", [1]),
        put(Kind.END, value={"status": 3, "error": None, "more": 1}),
    )
    assert state.notes == {
        "plot": {"signal": "y", "axes": ["x"]},
        "storage": {"y": {"compression": "lzf"}},
        "anything": [1],
    }
    assert (state.end, state.problems) == ({"status": "3", "error": None, "more": 1}, [])
    assert (state.records, state.last_time) == (4, 4.0)


def test_a_journal_that_ends_too_early_and_one_that_is_gone_are_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", sync_interval=0)
    journal.put(begun([1.0]))
    size = journal.size
    journal.close()
    kept = Keeper(JournalReader(journal.path), tmp_path / "r.h5")
    kept.read(size)
    with pytest.raises(JournalDamaged, match=f"j ends at byte {size}, not {size + 1}"):
        kept.read(size + 1)
    journal.path.rename(tmp_path / "elsewhere")
    with pytest.raises(JournalDamaged, match="j is gone"):
        kept.read(size + 1)
    assert (kept.state.datasets["x"].value, kept.problems) == ([1.0], [])
    kept.close()

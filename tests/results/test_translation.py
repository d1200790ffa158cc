"""The changes of a recording as columns: which column each value is in, and with which time, order and unit."""

from typing import Any

import numpy as np
import pytest

from rexec.results import recordings
from rexec.results.fold import RunState
from rexec.results.item import RowsReleased
from rexec.results.journal.records import Kind, Record
from rexec.results.recordings import Translation, keeps_history

BEGIN = Record(Kind.IDENTITY, value={"recording": {"mode": "record"}})
EXACT = 2**53


def a_set(value: Any, metadata: Any = None) -> Record:
    return Record(Kind.SET, "k", value=value, metadata=metadata or {})


def folded(*records: Record) -> RunState:
    """Return what the records of a recording add up to; the first change has number and time 2."""
    state = RunState()
    translate = Translation(state)
    for number, record in enumerate((BEGIN, *records), 1):
        for each in translate(record._replace(number=number, time=float(number))):
            state.apply(each)
    assert state.problems == []
    return state


def columns(*records: Record) -> dict[str, Any]:
    return {key.removeprefix("k/"): item.value for key, item in folded(*records).datasets.items()}


def stamped(prefix: str, numbers: list[int], suffix: str = "", **others: Any) -> dict[str, Any]:
    return {f"{prefix}{name}{suffix}": value for name, value in others.items()} | {
        f"{prefix}time{suffix}": [float(number) for number in numbers],
        f"{prefix}order{suffix}": numbers,
    }


ARRAY = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([a_set(1), a_set(2)], stamped("", [2, 3], value=[1, 2])),
        (
            [a_set(np.int8(1)), a_set(np.complex128(1j))],
            stamped("", [2], value=[1]) | stamped("", [3], "_2", value=[1j]),
        ),
        # Ints are in the column of floats where that loses nothing.
        ([a_set(0), a_set(0.5), a_set(1)], stamped("", [2, 3, 4], value=[0.0, 0.5, 1.0])),
        ([a_set(0.5), a_set(EXACT)], stamped("", [2, 3], value=[0.5, float(EXACT)])),
        (
            [a_set(0.5), a_set(EXACT + 1)],
            stamped("", [2], value=[0.5]) | stamped("", [3], "_2", value=[EXACT + 1]),
        ),
        ([a_set(EXACT), a_set(0.5)], stamped("", [2, 3], value=[float(EXACT), 0.5])),
        (
            [a_set(EXACT + 1), a_set(0.5)],
            stamped("", [2], value=[EXACT + 1]) | stamped("", [3], "_2", value=[0.5]),
        ),
        # Others have columns of their own.
        (
            [a_set(1), a_set("a"), a_set(2)],
            stamped("", [2, 4], value=[1, 2]) | stamped("", [3], "_2", value=["a"]),
        ),
        ([a_set(True), a_set(1)], stamped("", [2], value=[True]) | stamped("", [3], "_2", value=[1])),
        # What is no row is text.
        ([a_set({"a": 1})], stamped("other_", [2], value=['{"a":1}'])),
        ([a_set(2**70)], stamped("other_", [2], value=[str(2**70)])),
        ([a_set(np.zeros(0)), a_set([{}])], None),
        # Lists are their items, and where each began.
        (
            [a_set([1, 2]), Record(Kind.APPEND, "k", value=3), a_set([])],
            stamped("lists_", [2, 4], length=[2, 0]) | stamped("items_", [2, 2, 3], value=[1, 2, 3]),
        ),
        ([a_set([1, 0.5])], stamped("lists_", [2], length=[2]) | stamped("items_", [2, 2], value=[1.0, 0.5])),
        ([a_set([1, "a"])], stamped("other_", [2], value=['[1,"a"]'])),
        (
            [Record(Kind.MUTATE, "k", value=5, index=3), Record(Kind.MUTATE, "k", value=6, index=(1, 2))],
            stamped("mutations_", [2], value=[5], index=[3])
            | stamped("mutations_at_", [3], value=[6], index=['{"__jsonclass__":["tuple",[[1,2]]]}']),
        ),
        ([a_set(1), Record(Kind.DELETE, "k")], stamped("", [2], value=[1]) | stamped("deleted_", [3])),
    ],
)
def test_each_change_is_a_row_of_its_columns(records: list[Record], found: dict[str, Any] | None) -> None:
    made = columns(*records)
    # Also what was not to be archived: the recording is of everything.
    assert columns(*(each._replace(archive=False) for each in records)).keys() == made.keys()
    if found is None:
        assert [key for key in made if key.endswith("value")] == ["other_value"]
        assert len(made["other_value"]) == 2
        return
    assert made.keys() == found.keys()
    for name, value in found.items():
        text = [each.replace(" ", "") if isinstance(each, str) else each for each in made[name]]
        if name != "mutations_at_index":
            assert text == value, name
        assert list(map(type, text)) == list(map(type, value)), name


def test_arrays_of_one_shape_are_rows() -> None:
    made = columns(a_set(ARRAY), a_set(ARRAY + 1), a_set(np.zeros(2)))
    assert [each.tolist() for each in made["value"]] == [ARRAY.tolist(), (ARRAY + 1).tolist()]
    assert [each.tolist() for each in made["value_2"]] == [[0.0, 0.0]]


def test_beyond_eight_types_all_are_text() -> None:
    made = columns(*(a_set(np.zeros(size)) for size in range(1, recordings.MOST_TYPES + 3)))
    assert sum(key.startswith("value") for key in made) == recordings.MOST_TYPES == 8
    assert (made["other_order"], "value_8" in made, "value_9" in made) == ([10, 11], True, False)


def test_columns_have_the_unit_that_was_given_last() -> None:
    state = folded(a_set(1, {"unit": "V"}), a_set(2), a_set(3, {"unit": "mV"}), a_set(4, {"unit": "mV"}))
    found = state.datasets["k/value"]
    assert (found.value, found.metadata) == ([1, 2, 3, 4], {"unit": "mV"})
    assert state.datasets["k/time"].metadata == {"unit": "s"}
    assert state.datasets["k/order"].metadata == {}
    state = folded(a_set(1, {"unit": "V"}), a_set(0.5))
    assert (state.datasets["k/value"].value, state.datasets["k/value"].metadata) == (
        [1.0, 0.5],
        {"unit": "V"},
    )


def test_a_column_whose_rows_are_in_files_alone_cannot_become_floats() -> None:
    state = folded(a_set(1), a_set(2))
    translate = Translation(state)
    list(translate(BEGIN))
    list(translate(a_set(3)))
    state.datasets["k/value"].release(1)
    with pytest.raises(RowsReleased):
        list(translate(a_set(0.5)))


COMPARED = {"time": 5.0, "reason": "gap", "lost": None, "changes": 2}


@pytest.mark.parametrize(
    ("note", "is_one"),
    [
        (COMPARED, True),
        (COMPARED | {"lost": 4.0}, True),
        *((COMPARED | {name: "odd"}, False) for name in ("time", "lost", "changes")),
        (COMPARED | {"reason": 5}, False),
        (COMPARED | {"time": 5}, False),
        ([1], False),
    ],
)
def test_comparisons_are_gathered_with_their_order(note: Any, is_one: bool) -> None:
    state = folded(
        Record(Kind.NOTE, "comparison", value=COMPARED), Record(Kind.NOTE, "comparison", value=note)
    )
    first = COMPARED | {"order": 2}
    assert state.notes["comparisons"] == [first, *([note | {"order": 3}] if is_one else [])]
    assert ("comparison" in state.notes) == (not is_one)
    assert "comparisons" not in folded(Record(Kind.NOTE, "other", value=COMPARED)).notes


@pytest.mark.parametrize(
    ("identity", "is_one"),
    [
        ({"recording": {"mode": "record"}}, True),
        ({"recording": {"mode": "last"}}, False),
        ({"recording": "record"}, False),
        ({}, False),
        ("record", False),
    ],
)
def test_only_a_recording_has_columns(identity: Any, is_one: bool) -> None:
    assert keeps_history(identity) is is_one
    state = RunState()
    translate = Translation(state)
    for record in (Record(Kind.IDENTITY, value=identity), Record(Kind.IDENTITY, value={"rid": 5}), a_set(1)):
        for each in translate(record):
            state.apply(each)
    assert ("k/value" in state.datasets, "k" in state.datasets) == (is_one, not is_one)
    archived = Record(Kind.ARCHIVE, "k", value=1, metadata={})
    assert list(translate(archived)) == [archived]

"""Every change of a recording in order, of the columns that hold it, and what was there at a moment."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.results.errors import ResultsError
from rexec.results.reading.replay import Change, apply, changes, comparisons, recorded_keys, value_at
from rexec.wire import pyon


class Text:
    """A text in a file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def asstr(self) -> dict[tuple[()], str]:
        return {(): self.text}


def recording(compared: list[Any] | None = None, **columns: Any) -> Any:
    """Return a recording with these columns; "/" is written as "__"."""
    return SimpleNamespace(
        path=Path("r.h5"),
        datasets={name.replace("__", "/"): SimpleNamespace(value=value) for name, value in columns.items()},
        file={} if compared is None else {"rexec/comparisons": Text(pyon.encode(compared))},
    )


FULL = recording(
    k__value=[1, 2],
    k__time=[10.0, 20.0],
    k__order=[1, 4],
    k__value_2=["a"],
    k__time_2=[25.0],
    k__order_2=[5],
    k__lists_length=[2, 0],
    k__lists_time=[30.0, 40.0],
    k__lists_order=[6, 9],
    k__items_value=[7, 8, 9],
    k__items_time=[30.0, 30.0, 31.0],
    k__items_order=[6, 6, 7],
    k__other_items_value=["{}"],
    k__other_items_time=[41.0],
    k__other_items_order=[10],
    k__mutations_value=[5],
    k__mutations_index=[0],
    k__mutations_time=[32.0],
    k__mutations_order=[8],
    k__mutations_at_value=[[6]],
    k__mutations_at_index=['{"__jsonclass__": ["slice", [0, 1, null]]}'],
    k__mutations_at_time=[42.0],
    k__mutations_at_order=[11],
    k__other_value=['{"a": 1}'],
    k__other_time=[12.0],
    k__other_order=[2],
    k__deleted_time=[15.0],
    k__deleted_order=[3],
    k__odd=[1],
    k2__value=[1],
    k2__time=[1.0],
    k2__order=[20],
    k__sub__value=[1],
    k__sub__time=[1.0],
    k__sub__order=[21],
)


def test_all_columns_of_a_dataset_are_its_changes_in_order() -> None:
    assert recorded_keys(FULL) == ["k", "k2", "k/sub"]
    found = changes(FULL, "k")
    assert [(each.order, each.time, each.what, each.value, each.index) for each in found] == [
        (1, 10.0, "set", 1, None),
        (2, 12.0, "set", {"a": 1}, None),
        (3, 15.0, "delete", None, None),
        (4, 20.0, "set", 2, None),
        (5, 25.0, "set", "a", None),
        (6, 30.0, "set", [7, 8], None),
        (7, 31.0, "append", 9, None),
        (8, 32.0, "mutate", 5, 0),
        (9, 40.0, "set", [], None),
        (10, 41.0, "append", {}, None),
        (11, 42.0, "mutate", [6], slice(0, 1)),
    ]
    assert not any(each.is_found for each in found)
    assert [each.order for each in changes(FULL, "k/sub")] == [21]
    assert len({changes(FULL, "k2")[0], changes(FULL, "k2")[0]}) == 1  # a fact


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (10.0, 1),
        (11.9, 1),
        (12.0, {"a": 1}),
        (20.0, 2),
        (30.0, [7, 8]),
        (31.0, [7, 8, 9]),
        (32.0, [5, 8, 9]),
        (40.0, []),
        (1e9, [6]),
    ],
)
def test_what_a_dataset_held_at_a_moment(time: float, value: Any) -> None:
    assert value_at(FULL, "k", time) == value


@pytest.mark.parametrize("time", [9.9, 15.0, 19.0])
def test_what_was_not_there_then_is_no_value(time: float) -> None:
    with pytest.raises(KeyError):
        value_at(FULL, "k", time)


def test_what_is_deleted_twice_is_gone() -> None:
    assert Change(1, 1.0, "delete") == Change(1, 1.0, "delete", None, None, is_found=False)
    holder = {"k": 1, "other": 2}
    for _ in range(2):
        apply(holder, "k", Change(1, 1.0, "delete"))
    assert holder == {"other": 2}


@pytest.mark.parametrize(("run", "names"), [(FULL, "k, k2, k/sub"), (recording(), "none")])
def test_what_is_not_recorded_is_told_with_what_is(run: Any, names: str) -> None:
    with pytest.raises(ResultsError, match=rf"^r\.h5 records no dataset 'nope'; it has {names}$"):
        changes(run, "nope")


@pytest.mark.parametrize(
    "columns",
    [
        {"k__value": [1, 2], "k__time": [1.0, 2.0], "k__order": [1]},
        {"k__value": [1], "k__time": [1.0, 2.0], "k__order": [1, 2]},
        {"k__value": [1], "k__time": [1.0]},
        {"k__value": [1], "k__order": [1]},
        {"k__deleted_time": [1.0]},
        {"k__deleted_time": 1.0, "k__deleted_order": 1},
    ],
)
def test_a_damaged_recording_is_told(columns: dict[str, Any]) -> None:
    with pytest.raises(ResultsError, match=r"the recording of 'k' in r\.h5 is damaged: a column"):
        changes(recording(**columns), "k")


def test_rows_of_any_shape_are_one_value_each() -> None:
    rows = [[1, 2, 3], [4]]
    assert [
        each.value for each in changes(recording(k__value=rows, k__time=[1.0, 2.0], k__order=[1, 2]), "k")
    ] == rows


def test_a_change_that_was_found_by_comparing_is_marked() -> None:
    compared = [
        {"time": 5.0, "reason": "begin", "lost": None, "changes": 0, "order": 1},
        {"time": 9.0, "reason": "gap", "lost": 7.0, "changes": 2, "order": 3},
    ]
    columns: dict[str, Any] = {
        "k__value": [0] * 5,
        "k__time": [0.0] * 5,
        "k__order": [2, 3, 4, 5, 6],
        "k__items_value": [1],
        "k__items_time": [0.0],
        "k__items_order": [5],
        "j__items_value": [1, 2],
        "j__items_time": [0.0, 0.0],
        "j__items_order": [5, 6],
    }
    run = recording(compared, **columns)
    assert comparisons(run) == compared
    assert [each.is_found for each in changes(run, "k")] == [False, False, True, True, False]
    assert changes(run, "k")[3].value == [1]
    assert [(each.what, each.is_found) for each in changes(run, "j")] == [("append", True), ("append", False)]
    assert comparisons(recording()) == []

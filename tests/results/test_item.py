"""One dataset of a run: which rows were changed when, and which of them are in memory."""

from typing import Any

import numpy as np
import pytest

from rexec.results import item
from rexec.results.item import Item, RowsReleased


@pytest.mark.parametrize(
    ("edits", "kept", "since"),
    [
        ([], [], {0: None}),
        ([(0, 2, 4), (0, 1, 3)], [(0, 1, 4)], {0: (1, 4), 1: None}),
        ([(0, 2, 4), (1, 6, 7), (1, 8, 9)], [(0, 2, 4), (1, 6, 9)], {0: (2, 9), 1: (6, 9), 2: None}),
        ([(epoch, 9 - epoch, 10) for epoch in range(4)], [(n, 9 - n, 10) for n in range(4)], {3: (6, 10)}),
        (
            [(epoch, 9 - epoch, 20 - epoch) for epoch in range(5)],
            [(1, 8, 20), (2, 7, 18), (3, 6, 17), (4, 5, 16)],  # of old epochs few are kept
            {0: (5, 20), 1: (5, 20), 2: (5, 18), 4: (5, 16), 5: None},
        ),
    ],
)
def test_the_rows_that_were_changed_since_an_epoch_are_known(
    edits: list[tuple[int, int, int]], kept: list[tuple[int, int, int]], since: dict[int, Any]
) -> None:
    made = Item([0] * 20, {})
    for edit in edits:
        made.edit(*edit)
    assert made.edits == kept
    assert {epoch: made.edited_since(epoch) for epoch in since} == since


def test_released_rows_are_counted_and_missed() -> None:
    made = Item([1, 2, 3, 4, 5], {})
    assert (made.rows, made.rows_from(0), made.rows_from(5)) == (5, [1, 2, 3, 4, 5], [])
    made.release(2)
    made.release(1)  # they are gone already
    made.release(3)
    assert (made.released, made.value, made.rows) == (3, [4, 5], 5)
    assert (made.rows_from(3), made.rows_from(4)) == ([4, 5], [5])
    with pytest.raises(RowsReleased):
        made.rows_from(2)


def test_of_an_item_nothing_is_said_that_was_not_given() -> None:
    assert Item(5, {}) == Item(5, {}, "run", False, False, 0.0, 0, 0, [], 0)


ROW = np.zeros(100)
"""800 bytes."""


@pytest.mark.parametrize(
    ("value", "least", "is_heavy"),
    [
        ([1.0] * 10, 640, True),
        ([1.0] * 10, 641, False),
        (["a" * 36] * 10, 1000, True),
        (["a" * 36] * 10, 1001, False),
        ([ROW] * 10, 8640, True),
        ([ROW] * 10, 8641, False),
        (["", "a" * 36], 200, True),  # the last row counts for all
        (["", "a" * 36], 201, False),
        ([1.0], 64, True),
        ([], 0, False),
        ((1.0,) * 10, 1, False),
        (ROW, 1, False),
    ],
)
def test_a_list_is_worth_releasing_from_a_size_on(
    monkeypatch: pytest.MonkeyPatch, value: Any, least: int, is_heavy: bool
) -> None:
    monkeypatch.setattr(item, "RELEASE_FROM", least)
    assert Item(value, {}).is_heavy == is_heavy


@pytest.mark.parametrize(
    ("value", "first", "size"),
    [
        ([1.0] * 10, 0, 80),
        ([1.0] * 10, 7, 24),
        ([ROW] * 10, 8, 1600),
        (["a" * 20] * 3, 1, 40),
        (["a"] * 3, 1, 16),
        ([b"a" * 20] * 3, 1, 40),
        (["", "a" * 20], 0, 40),
        ([1.0], 0, 8),
        ([1.0], None, 0),
        ([], 0, 0),
        (ROW, 0, 0),
    ],
)
def test_the_rows_from_one_on_have_about_so_many_bytes(value: Any, first: int | None, size: int) -> None:
    assert Item(value, {}).bytes_from(first) == size


def test_released_rows_count_where_a_file_lacks_them() -> None:
    made = Item([ROW] * 10, {})
    made.release(4)
    assert made.bytes_from(0) == 8000

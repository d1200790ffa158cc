"""Values that are encoded in parts: which are, that the parts are the text, and that what is counted is little."""

from typing import Any

import numpy as np
import pytest

from rexec.wire import _pyon_parts
from rexec.wire._pyon_parts import V1, V2, Syntax, elements, parts

LARGE = [1] * 3000
"""A value that is not encoded at once."""


@pytest.mark.parametrize("syntax", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("value", "count"),
    [
        ([1] * 1999, 1),
        ([1] * 2000, 2 + 4),
        ((1,) * 1999, 1),
        ((1,) * 2000, 2 + 4),
        ([LARGE], 2 + 1 + 2 + 6),
        ((LARGE,), 2 + 1 + 2 + 6),
        ((LARGE, 1), 2 + 1 + 2 + 6 + 1 + 1),
        ({"a": LARGE, "b": 1}, 2 + 1 + 2 + 6 + 1 + 1),
        ({1: LARGE}, 1),  # keys that are no text: at once
        (dict.fromkeys(map(str, range(2000)), 1), 2 + 2 * 2000),
        (set(range(3000)), 1),
        ("x" * 30_000, 1),
        (np.zeros(1000), 1),
    ],
)
def test_a_large_value_is_its_parts(value: Any, count: int, syntax: Syntax) -> None:
    found = list(parts(value, syntax, set()))
    assert b"".join(found) == syntax.text(value)
    assert len(found) == count


@pytest.mark.parametrize("syntax", [V1, V2], ids=["v1", "v2"])
def test_a_large_array_is_encoded_piece_by_piece(syntax: Syntax) -> None:
    value = np.arange(100_000)
    found = list(parts(value, syntax, set()))
    assert b"".join(found) == syntax.text(value)
    assert len(found) > 3


def test_lists_that_are_begun_are_noted_and_their_length_is_of_that_moment() -> None:
    inner = [1] * 3000
    value, begun = [inner, 2], set[int]()
    found = []
    for part in parts(value, V2, begun):
        found.append(part)
        if len(found) == 5:  # within the inner list
            assert begun == {id(value), id(inner)}
            inner.append(9)
            value.append(9)
    assert b"".join(found) == V2.text([[1] * 3000, 2])


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (1, 1), (1.5, 1), (None, 1), (True, 1), ("", 1), ("x" * 8, 2), (b"x" * 16, 3), ("x" * 7, 1),
        ([], 1), ([1, 2], 3), ((1,), 2), ({"a": 1}, 2), ([[1, 2], 3], 5), ({"a": [1]}, 3), ([[], "x" * 16], 5),
        (np.zeros(4), 5), (np.zeros(7, np.uint8), 1), (object(), 1), ({1, 2}, 1),
    ],
)  # fmt: skip
def test_what_a_value_has_is_counted(value: Any, count: int) -> None:
    assert elements(value, 1000) == count


def test_counting_ends_with_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []

    def count(x: Any, most: int) -> int:
        counted.append(most)
        return elements(x, most)

    monkeypatch.setattr(_pyon_parts, "elements", count)
    for value, least, inner in (
        ([1] * 50, 51, []),  # scalars are not looked at one by one
        ([[1]] * 50, 51, []),
        ([[1] * 5] * 5, 11, [4]),
        ([[1]] * 2, 5, [7, 6]),
    ):
        counted.clear()
        assert elements(value, 10) >= least
        assert counted == inner

"""Facts about a run and its datasets are PYON, whatever they are."""

from collections import deque
from typing import Any

import pytest

from rexec.results.hdf5.texts import pyon_text


class Odd:
    def __repr__(self) -> str:
        return "odd"


def nested(levels: int, value: Any) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def in_brackets(levels: int, text: str) -> str:
    return "[" * levels + text + "]" * levels


def in_itself(kind: Any) -> Any:
    value = kind()
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, (2, 3), {"a": 1}], '[1,{"__jsonclass__":["tuple",[[2,3]]]},{"a":1}]'),
        ([(1, Odd())], '[[1,"odd"]]'),
        ({1: Odd(), "__jsonclass__": 2, "n": None}, '{"1":"odd","__jsonclass__ ":2,"n":null}'),
        ([10**5000], f'["{hex(10**5000)}"]'),
        (deque([1, Odd()]), '[1,"odd"]'),
        (nested(19, Odd()), in_brackets(19, '"odd"')),
        (nested(20, Odd()), in_brackets(20, '"<Odd>"')),
        (nested(21, Odd()), in_brackets(20, '"<list>"')),
        ({"a": {"b": nested(18, {"c": Odd()})}}, '{"a":{"b":' + in_brackets(18, '"<dict>"') + "}}"),
        (in_itself(list), in_brackets(20, '"<list>"')),
        (in_itself(deque), in_brackets(10, '"<deque>"')),
    ],
)
def test_what_pyon_does_not_know_is_replaced_by_what_is_readable_of_it(value: Any, text: str) -> None:
    assert pyon_text(value) == text

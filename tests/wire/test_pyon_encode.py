"""The encoders by themselves: what it refuses as too deep, what it keeps apart, and what it leaves to Python."""

import json
import math
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rexec.wire import _pyon_encode, pyon, pyon_v1
from rexec.wire._protocol import Codec
from rexec.wire._pyon_encode import MAX_DEPTH, Simplifier, to_json


class Number(float):
    pass


class Items(list[Any]):
    pass


class Fields(dict[Any, Any]):
    pass


class Pair(tuple[Any, ...]):
    __slots__ = ()


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda inner: [inner],
    "own list": lambda inner: Items([inner]),
    "tuple": lambda inner: (inner,),
    "own tuple": lambda inner: Pair([inner]),
    "dict": lambda inner: {"a": inner},
    "own dict": lambda inner: Fields(a=inner),
    "values": lambda inner: {1: inner},
    "keys": lambda inner: {inner: 1},
    "ordered": lambda inner: OrderedDict(a=inner),
    "set": lambda inner: {inner},
    "frozen set": lambda inner: frozenset([inner]),
    "start": lambda inner: slice(inner, 1),
    "step": lambda inner: slice(1, 2, inner),
}


@pytest.mark.parametrize(("codec", "module", "levels"), [(pyon, _pyon_encode, 3), (pyon_v1, pyon_v1, 1)])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_value_is_refused_where_its_text_would_be(
    holder: str, codec: ModuleType, module: ModuleType, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MAX_DEPTH // levels  # tuples in each other
    inner: list[Any] = [()]
    while len(inner) < most + 2:
        inner.append((inner[-1],))
    values = [HOLDERS[holder](each) for each in inner[most - 6 :]]
    refused = []
    for value in values:
        with monkeypatch.context() as patch:
            patch.setattr(module, "MAX_DEPTH", 2 * MAX_DEPTH)
            text = codec.encode(value)
        try:
            codec.decode(text)
        except ValueError:
            refused.append(value)
            with pytest.raises(ValueError, match=f"nested deeper than {MAX_DEPTH} levels"):
                codec.encode(value)
        else:
            assert codec.encode(value) == text
    assert 0 < len(refused) < len(values)


def test_buffers_of_over_two_kilobytes_are_kept_apart() -> None:
    for size, pieces in ((2048, 1), (2049, 2)):
        values: tuple[Any, ...] = (bytes(size), np.zeros(size, np.uint8))
        for value in values:
            assert len(Codec(v2=True, raw=True).encode(value)) == pieces
            assert len(Codec(v2=True).encode(value)) == 2 * pieces - 1
    for count in (2, 12):
        some = [bytes([number]) * 3000 for number in range(count)]
        assert pyon.decode(b"".join(bytes(each) for each in Codec(v2=True).encode(some))) == some


@pytest.mark.parametrize(
    ("value", "simple", "exotic"),
    [
        (1.5, 1.5, False),
        (math.inf, math.inf, True),
        ([1.5, 2.5], [1.5, 2.5], False),
        ([1.5, math.inf], [1.5, math.inf], True),
        ([1, math.inf], [1, math.inf], True),
        (Number(2.5), 2.5, False),
        (True, True, False),
        (Items([1]), [1], False),
        (Fields(a=1), {"a": 1}, False),
        ({np.str_("a"): 1}, None, False),
        (Pair([1]), {"__jsonclass__": ["tuple", [[1]]]}, False),
        ([], [], False),
        ({}, {}, False),
    ],
)
def test_a_value_is_said_in_the_terms_of_json(value: Any, simple: Any, exotic: bool) -> None:
    one = Simplifier()
    found = one.simplify(value)
    if simple is not None:
        assert (found, type(found)) == (simple, type(simple))
    assert one.exotic is exotic


@pytest.mark.parametrize(
    "value", [["\x7f"], ["\u00b5"], ["\ud800"], [1 << 70], {"a": [1.5, None, True]}, [1e300, 5e-324], "x"]
)
def test_json_is_written_as_python_s_own_encoder_does(value: Any) -> None:
    usual = json.dumps(value, separators=(",", ":"))
    assert to_json(value) == to_json(value, exotic=True) == usual.encode("ascii")
    for whole in (value, [value, math.inf]):
        assert pyon.encode(whole, pretty=True) == json.dumps(whole, indent=4)
        assert pyon.encode(whole) == json.dumps(whole, separators=(",", ":"))


def test_what_could_not_be_read_again_is_found_before_it_is_written() -> None:
    pyon.check([np.zeros(3000), b"x" * 3000, 1, {"a": (2,)}])
    pyon_v1.check([np.zeros(3000), b"x" * 3000, 1, {"a": (2,)}])
    for wrong in ({frozenset([1])}, object(), [np.zeros(3000), object()]):
        with pytest.raises(TypeError):
            pyon.check(wrong)


def test_options_of_json_leave_the_form_as_it_is() -> None:
    value = {"b": [1, 2.5], "a": "\u00b5"}
    for pretty, form in ((False, {"separators": (",", ":")}), (True, {"indent": 4})):
        found = pyon.encode(value, pretty=pretty, sort_keys=True)
        assert found == json.dumps(value, sort_keys=True, **form)


def test_what_json_cannot_have_is_an_error_that_names_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(_pyon_encode, "to_json", fails)
    for write in (pyon.encode, Codec(v2=True).encode):
        with pytest.raises(ValueError, match="value cannot be written as JSON: too deep"):
            write([1])
    monkeypatch.setattr(pyon_v1._Writer, "write", fails)
    with pytest.raises(ValueError, match=f"value is nested deeper than {MAX_DEPTH} levels"):
        pyon_v1.encode([1])


@pytest.mark.parametrize(
    ("inner", "levels"), [([], 0), ({}, 0), ([float("inf")], 0), ((1,), 2), (b"x", 0), (1j, 1)]
)
def test_three_hundred_levels_are_written_and_no_more(inner: Any, levels: int) -> None:
    value = inner
    for _ in range(MAX_DEPTH - levels):
        value = [value]
    pyon.encode(value)
    with pytest.raises(ValueError, match="nested deeper than 300 levels"):
        pyon.encode([value])

"""Values as bytes of the journal."""

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.datasets.values import same
from rexec.results import _codec
from rexec.results._codec import Unreadable, encode
from rexec.results._decode import decode
from tests.results.strategies import values


@given(values)
def test_every_value_comes_back(value: object) -> None:
    data = encode(value)
    back, end = decode(data)
    assert end == len(data)
    assert same(back, value)


@given(values, st.data())
def test_a_value_cut_short_is_an_error_and_never_another_value(value: object, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ValueError, match=r".*"):
        decode(encoded[:cut])


@given(st.binary(max_size=60))
def test_noise_is_an_error_or_a_value_and_nothing_else(data: bytes) -> None:
    try:
        _, end = decode(data)
    except ValueError:
        return
    assert end <= len(data)


def test_a_structured_array_keeps_its_fields() -> None:
    value = np.array([(1, [1.0, 2.0])], dtype=[("a", "<i4"), ("b", "<f8", (2,))])
    back, _ = decode(encode(value))
    assert back.dtype == value.dtype
    assert same(back, value)


def test_what_nothing_knows_keeps_its_text_and_costs_nothing_else() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("never printed")

    back, _ = decode(encode({"good": 1, "odd": Odd(), "range": range(3)}))
    assert back["good"] == 1
    assert back["range"] == Unreadable("range(0, 3)", "builtins.range")
    assert "whose repr failed: never printed" in back["odd"].text


def test_a_list_that_holds_itself_is_kept_as_far_as_it_goes() -> None:
    value: list[object] = [1]
    value.append(value)
    back, _ = decode(encode(value))
    assert back[0] == back[1][0] == 1


def test_a_large_array_is_not_copied() -> None:
    from rexec.results._codec import encode_parts

    value = np.zeros(1000)
    parts = encode_parts(value)
    value[3] = 7.0
    assert decode(b"".join(parts))[0][3] == 7.0


@pytest.mark.parametrize("value", [[1, -2, 3], (4, 5), [0.5, -1e300], (2.5,)])
def test_a_machine_of_the_other_byte_order_writes_the_same_bytes(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arrays in memory are the other way round, and what swaps them there is tried here."""
    code = "q" if type(value[0]) is int else "d"
    expected = array(code, value)
    expected.byteswap()
    monkeypatch.setattr(_codec, "BIG_ENDIAN", True)
    data = encode(value)
    assert data[9:] == expected.tobytes()
    assert decode(data) == (value, len(data))

"""Values as bytes of the journal."""

from array import array
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.datasets.values import same
from rexec.ground.plain import MAX_DEPTH, TooDeep
from rexec.results.journal import _encode
from rexec.results.journal._decode import decode
from rexec.results.journal._encode import encode
from tests.results.strategies import objects, structures, values


@given(values)
def test_every_value_comes_back(value: object) -> None:
    data = encode(value)
    back, end = decode(data)
    assert end == len(data)
    assert same(back, value)


@given(objects)
def test_the_marked_form_of_any_object_is_its_own_encoding(value: object) -> None:
    """What is read is plain, so that it is written and read again as it is, by a process without the classes."""
    data = encode(value)
    plain, end = decode(data)
    assert end == len(data)
    again = encode(plain)
    assert len(again) == len(data) if _has_set(plain) else again == data


def _has_set(value: Any) -> bool:
    """Return whether there is a set anywhere: another process may have another order of it."""
    return b"S" in encode(value) or b"F" in encode(value)


@given(structures)
def test_every_structure_comes_back(value: Any) -> None:
    back, _ = decode(encode(value))
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert encode(back) == encode(value)


@given(st.one_of(values, objects), st.data())
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
    dtype = np.dtype(
        {
            "names": ["a", "b"],
            "formats": ["<i4", ("<f8", (2,))],
            "offsets": [4, 16],
            "titles": ["one", None],
            "itemsize": 40,
        }
    )
    value = np.zeros(3, dtype)
    value["b"] = 7
    back, _ = decode(encode(value))
    assert back.dtype == dtype
    assert back.dtype.fields["one"] == dtype.fields["one"]  # type: ignore[index]
    assert np.array_equal(back["b"], value["b"])


def test_a_type_of_many_fields_is_written() -> None:
    value = np.zeros(2, [(f"field number {number}", "<f8") for number in range(5000)])
    back, _ = decode(encode(value))
    assert back.dtype == value.dtype


def test_arrays_of_objects_keep_their_objects() -> None:
    value = np.empty((2, 1), object)
    value[0, 0], value[1, 0] = [1, "a"], None
    back, _ = decode(encode(value))
    assert (back.shape, back[0, 0], back[1, 0]) == ((2, 1), [1, "a"], None)


def test_what_nothing_knows_keeps_its_whole_text_and_costs_nothing_else() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("never printed")

    class Long:
        def __repr__(self) -> str:
            return "x" * 3_000_000

    back, _ = decode(encode({"good": 1, "odd": Odd(), "long": Long()}))
    assert back["good"] == 1
    assert len(back["long"].text) == 3_000_000
    assert "whose repr failed: never printed" in back["odd"].text


def test_keys_stay_keys_and_stay_different() -> None:
    class Hashable(list[int]):
        def __hash__(self) -> int:  # type: ignore[override]
            return 12345

    class Twin:
        def __repr__(self) -> str:
            return "twin"

    value = {
        frozenset({0, 1}): 1,
        (frozenset({2}), 3): 2,
        Hashable([1]): 3,
        Twin(): 4,
        Twin(): 5,
        np.int8(1): 6,
    }
    back, _ = decode(encode(value))
    assert back[frozenset({0, 1})] == 1
    assert back[(frozenset({2}), 3)] == 2
    assert back[1] == 6
    assert sorted(back.values()) == [1, 2, 3, 4, 5, 6]


def test_depth_is_bounded_and_counted_alike() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value))[0] == value
    for deeper in ([value], {"x": value}, (value,), deque([value]), np.array([value, None], object)):
        with pytest.raises(TooDeep, match="nested deeper than 64 levels"):
            encode(deeper)
    endless: list[object] = [1]
    endless.append(endless)
    with pytest.raises(TooDeep, match="holds itself"):
        encode(endless)


def test_a_journal_of_an_earlier_version_is_still_read() -> None:
    """Its nesting was deeper, its structures were described by lists, and its registered classes had a tag."""
    deep = b"N"
    for _ in range(200):
        deep = b"L" + (1).to_bytes(8, "little") + deep
    assert decode(deep)[1] == len(deep)
    description = b'[["a", "<i4"], ["b", "<f8", [2]]]'
    data = (
        b"a"
        + len(description).to_bytes(2, "little")
        + description
        + b"\1"
        + (1).to_bytes(8, "little")
        + bytes(20)
    )
    assert decode(data)[0].dtype == np.dtype([("a", "<i4"), ("b", "<f8", (2,))])
    assert decode(b"P" + (6).to_bytes(8, "little") + b"[1, 2]")[0] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"L" + (2**60).to_bytes(8, "little"),
        b"o\2" + (2**40).to_bytes(8, "little") * 2,
        b'a\5\0"<f8"\1' + (2**60).to_bytes(8, "little"),
        b'a\5\0"|V0"\1' + (2**40).to_bytes(8, "little"),
        b'a\5\0"|O8"\0' + bytes(8),
        b"a" + (60000).to_bytes(2, "little") + b"[" * 60000,
        b"L" + (1).to_bytes(8, "little") + (b"L" + (1).to_bytes(8, "little")) * 300 + b"N",
        b"?" + (2**62).to_bytes(8, "little"),
    ],
)
def test_nothing_is_allocated_that_the_bytes_do_not_justify(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(data)


def test_a_large_array_is_not_copied() -> None:
    from rexec.results.journal._encode import encode_parts

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
    monkeypatch.setattr(_encode, "BIG_ENDIAN", True)
    data = encode(value)
    assert data[9:] == expected.tobytes()
    assert decode(data) == (value, len(data))

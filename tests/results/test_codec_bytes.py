"""The bytes of each value, as docs/explanation/journal.md says them: those of one release are those of all others."""

import json
import struct
from collections import OrderedDict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rexec.ground.plain import MAX_DEPTH, Converted, TooDeep, Unreadable
from rexec.results.journal import _decode, _encode
from rexec.results.journal._array_types import described, dtype_of
from rexec.results.journal._decode import DEEPEST, decode
from rexec.results.journal._encode import encode, encode_parts


def q(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def d(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def array_of(kind: str | None, shape: tuple[int, ...], data: bytes, tag: bytes = b"a") -> bytes:
    head = json.dumps(kind).encode()
    return tag + struct.pack("<H", len(head)) + head + bytes([len(shape)]) + q(*shape) + data


def objects(*items: Any) -> Any:
    found = np.empty(len(items), object)
    found[:] = items
    return found


PAIR = np.dtype([("a", "<i2"), ("b", "<f4")])
PAIR_HEAD = json.dumps(
    {
        "names": ["a", "b"],
        "formats": ["<i2", "<f4"],
        "offsets": [0, 2],
        "titles": [None, None],
        "itemsize": 6,
        "aligned": False,
    }
).encode()

BYTES: list[tuple[Any, bytes]] = [
    (2.5, b"d" + d(2.5)),
    (-7, b"i" + q(-7)),
    (2**63 - 1, b"i" + q(2**63 - 1)),
    (-(2**63), b"i" + q(-(2**63))),
    (2**63, b"I" + q(9) + bytes(7) + b"\x80\0"),
    (-(2**63) - 1, b"I" + q(9) + b"\xff" * 7 + b"\x7f\xff"),
    (2**64, b"I" + q(9) + bytes(8) + b"\1"),
    (True, b"1"),
    (False, b"0"),
    (None, b"N"),
    (..., b"."),
    (1 - 2j, b"c" + d(1.0, -2.0)),
    ("é\ud800", b"s" + q(5) + b"\xc3\xa9\xed\xa0\x80"),
    ("", b"s" + q(0)),
    (b"a\0", b"b" + q(2) + b"a\0"),
    ([], b"L" + q(0)),
    ((), b"T" + q(0)),
    ([1.5, -0.0], b"D" + q(16) + d(1.5, -0.0)),
    ((1.5,), b"E" + q(8) + d(1.5)),
    ([1, -(2**63)], b"Q" + q(16) + q(1, -(2**63))),
    ((2**63 - 1,), b"R" + q(8) + q(2**63 - 1)),
    ([2**63], b"L" + q(1) + b"I" + q(9) + bytes(7) + b"\x80\0"),
    ([-(2**63) - 1], b"L" + q(1) + b"I" + q(9) + b"\xff" * 7 + b"\x7f\xff"),
    ([True], b"L" + q(1) + b"1"),
    ((1, None), b"T" + q(2) + b"i" + q(1) + b"N"),
    ({"a": None}, b"M" + q(1) + b"s" + q(1) + b"a" + b"N"),
    (OrderedDict(a=1), b"O" + q(1) + b"s" + q(1) + b"a" + b"i" + q(1)),
    ({None}, b"S" + q(1) + b"N"),
    (frozenset({None}), b"F" + q(1) + b"N"),
    (slice(1, None, 2), b":i" + q(1) + b"Ni" + q(2)),
    (Fraction(-1, 3), b"/i" + q(-1) + b"i" + q(3)),
    (Fraction(4), b"/i" + q(4) + b"i" + q(1)),
    (Unreadable("text", "Odd"), b"?" + q(3) + b"Odd" + q(4) + b"text"),
    (Converted("Odd", 1, {"a": None}), b"V" + q(3) + b"Oddi" + q(1) + b"M" + q(1) + b"s" + q(1) + b"aN"),
    (np.array([1, 2], "<i2"), array_of("<i2", (2,), b"\1\0\2\0")),
    (np.array([1, 2], ">i2"), array_of(">i2", (2,), b"\0\1\0\2")),
    (np.array([[1, 2], [3, 4]], "i1").T, array_of("|i1", (2, 2), b"\1\3\2\4")),
    (np.array(1, "u1"), array_of("|u1", (), b"\1")),
    (np.zeros((0, 3)), array_of("<f8", (0, 3), b"")),
    (np.array([b"ab", b""], "S2"), array_of("|S2", (2,), b"ab\0\0")),
    (np.array([3], "<M8[s]"), array_of("<M8[s]", (1,), q(3))),
    (
        np.array([(1, 2.0)], PAIR),
        b"A" + q(len(PAIR_HEAD)) + PAIR_HEAD + b"\1" + q(1) + struct.pack("<hf", 1, 2.0),
    ),
    (np.array((1, 2.0), PAIR)[()], b"G" + q(len(PAIR_HEAD)) + PAIR_HEAD + b"\0" + struct.pack("<hf", 1, 2.0)),
    (np.float32(2.0), array_of("<f4", (), struct.pack("<f", 2.0), b"g")),
    (np.datetime64(3, "s"), array_of("<M8[s]", (), q(3), b"g")),
    (np.bool_(True), array_of("|b1", (), b"\1", b"g")),
    (objects(None, [True]), b"o\1" + q(2) + b"NL" + q(1) + b"1"),
    (objects(None, None).reshape(1, 2), b"o\2" + q(1, 2) + b"NN"),
]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())
    return repr(one) == repr(other) if type(one) is Converted else bool(one == other)


@pytest.mark.parametrize(("value", "data"), BYTES, ids=[repr(data[:12]) for _, data in BYTES])
def test_each_value_has_its_bytes_and_comes_back_of_them(value: Any, data: bytes) -> None:
    assert encode(value) == data
    found, end = decode(data)
    assert type(found) is type(value)
    assert equal(found, value)
    assert end == len(data)
    # At any place, and with anything behind it.
    found, end = decode(b"xx" + data + b"yy", 2)
    assert equal(found, value)
    assert end == len(data) + 2
    for count in range(len(data)):
        with pytest.raises(ValueError, match=r".*"):
            decode(data[:count])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array([1, 2], np.dtype("<i2", metadata={"by": "h5py"})), np.array([1, 2], "<i2")),
        (np.array([(1, None)], [("a", "i1"), ("b", "O")]), Converted("numpy.ndarray", [(1, None)])),
    ],
)
def test_an_array_whose_bytes_are_not_its_value_is_kept_by_a_plain_one(value: Any, plain: Any) -> None:
    assert encode(value) == encode(plain)
    assert encode([value, None]) == encode([plain, None])


def lists(depth: int) -> bytes:
    return (b"L" + q(1)) * depth


BIG = b"I" + q(1) + b"\1"
"""A number that may not lie deeper than anything else; those of tag i may."""


@pytest.mark.parametrize(
    ("data", "levels"),
    [
        *((tag + q(1) + b"N", 1) for tag in (b"L", b"T", b"S", b"F", b"o\1")),
        *((tag + q(1) + b"Ni" + q(1), 1) for tag in (b"M", b"O")),
        *((tag + q(1) + b"i" + q(1) + b"N", 1) for tag in (b"M", b"O")),
        *((b":" + b"".join(b"N" if at == n else b"i" + q(1) for n in range(3)), 1) for at in range(3)),
        (b"/" + BIG + b"i" + q(1), 1),
        (b"/i" + q(1) + BIG, 1),
        (b"V" + q(1) + b"aNM" + q(0), 1),
        (b"V" + q(1) + b"aL" + q(1) + b"NM" + q(0), 2),
        (b"V" + q(1) + b"ai" + q(1) + b"M" + q(1) + b"s" + q(1) + b"aN", 2),
    ],
)
def test_whatever_is_in_a_value_counts_one_level(data: bytes, levels: int) -> None:
    whole = lists(DEEPEST - levels) + data
    assert decode(whole)[1] == len(whole)
    with pytest.raises(ValueError, match="nested too deeply"):
        decode(lists(1) + whole)


@pytest.mark.parametrize(
    "data",
    [
        lists(DEEPEST + 1) + b"N",
        b"V" + q(1) + b"ai" + q(1) + b"N",
        b"V" + q(1) + b"ai" + q(1) + b"M" + q(1) + b"NN",
        b"/i" + q(1) + b"i" + q(0),
        b"/i" + q(1) + b"i" + q(-1),
        b"/d" + d(1.0) + b"i" + q(1),
        b"/i" + q(1) + b"d" + d(1.0),
        array_of("|O", (0,), b""),
        array_of("|V0", (5,), b""),
        array_of(None, (1,), bytes(8)),  # NumPy takes None for a float's type
        b"a\1\0007\0",
        b"L" + q(-1),
        b"o\1" + q(3) + b"NN",
        b"D" + q(9) + bytes(9),
        b"z",
    ],
)
def test_what_no_run_writes_is_no_value(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(_decode, "MOST_EMPTY_ITEMS", 4)
    with pytest.raises(ValueError, match=r".*"):
        decode(data)


def test_what_is_just_allowed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode(lists(DEEPEST) + b"N")[1] == 9 * DEEPEST + 1
    monkeypatch.setattr(_decode, "MOST_EMPTY_ITEMS", 4)
    monkeypatch.setattr(_encode, "MOST_EMPTY_ITEMS", 4)
    data = array_of("|V0", (4,), b"")
    assert decode(data)[0].shape == (4,)
    assert encode(np.zeros(4, "V0")) == data
    with pytest.raises(ValueError, match="an array of 5 items of 0 bytes is more than a reader may trust"):
        encode(np.zeros(5, "V0"))


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"S" + q(2) + b"11", "bool"),
        (b"F" + q(2) + b"L" + q(0) + b"N", "list"),
        (b"M" + q(2) + b"1N11", "bool"),
    ],
)
def test_keys_that_are_equal_or_none_stay_apart(data: bytes, kept: str) -> None:
    value, end = decode(data)
    assert (len(value), end) == (2, len(data))
    assert [each.type_name for each in value if type(each) is Converted] == [f"builtins.{kept}"]


@pytest.mark.parametrize("make", [list, tuple, set, lambda items: {"a": items[0]}, objects])
def test_an_item_that_is_appended_counts_one_level(make: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH - 2):
        value = (value,)
    value = make([value]) if make is not objects else objects(value)
    encode_parts((value,))
    encode_parts(value, 1)
    for one, level in ((((value,),), 0), (value, 2)):
        with pytest.raises(TooDeep):
            encode_parts(one, level)


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype("<f8"),
        np.dtype([("a", "i1"), ("b", "<f8")], align=True),
        np.dtype([("a", "<f8", (2, 3))]),
        np.dtype([("a", [("b", "<i2"), ("c", "S3")])]),
        np.dtype([(("title", "a"), "<i2")]),
        np.dtype({"names": ["a"], "formats": ["<i2"], "offsets": [3], "itemsize": 9}),
    ],
)
def test_a_type_comes_back_of_its_description(dtype: Any) -> None:
    found = dtype_of(described(dtype))
    assert found == dtype
    assert found.fields == dtype.fields
    assert (found.itemsize, found.isalignedstruct) == (dtype.itemsize, dtype.isalignedstruct)

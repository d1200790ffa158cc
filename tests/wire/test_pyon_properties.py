"""Round trips, and decoders that meet anything."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rexec.wire import pyon, pyon_v1
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._protocol import Codec
from rexec.wire._pyon_decode import decode_line
from rexec.wire.errors import WireError

KEYS = st.text(max_size=5).filter(lambda key: key != "__jsonclass__")
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.fractions(),
)
DTYPES = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.boolean_dtypes(),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
LEAVES = st.one_of(HASHABLE, st.floats(), st.complex_numbers(allow_nan=False, allow_infinity=False), ARRAYS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, min_size=1, max_size=4),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)  # the text has no sign of it, and no payload
        return math.copysign(1, a) == math.copysign(1, b) and a == b
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    return bool(a == b)


@given(VALUES)
@settings(max_examples=150)
@example([float("nan"), -0.0, 5e-324, 1e308])
@example("\ud800")
@example({"\x7f": "µ"})
@example([2**63, -(2**63) - 1, 10**30, "1" * 30])
def test_what_is_written_is_read_back(value: Any) -> None:
    assert same(pyon.decode(pyon.encode(value)), value)
    assert same(pyon_v1.decode(pyon_v1.encode(value)), value) or isinstance(value, Fraction)


@given(st.lists(st.one_of(VALUES, st.binary(min_size=2000, max_size=3000)), max_size=4), st.data())
@settings(max_examples=60)
def test_messages_survive_any_division_of_the_stream(values: list[Any], data: st.DataObject) -> None:
    for raw in (False, True):
        codec = Codec(v2=True, raw=raw)
        stream = b"".join(bytes(piece) for value in values for piece in codec.encode(value))
        reader = FrameReader()
        reader.raw = raw
        found = []
        position = 0
        while position < len(stream):
            count = data.draw(st.integers(1, max(1, len(stream) // 3)))
            space = reader.space()
            part = stream[position : position + min(count, len(space))]
            space[: len(part)] = part
            space.release()
            position += len(part)
            frame = reader.take(len(part))
            while frame is not None:
                found.append(codec.decode(frame))
                frame = reader.take()
        assert reader.idle
        assert same(found, values)


@given(st.dictionaries(st.sampled_from(["ret", "args", "kwargs"]), VALUES))
@settings(max_examples=60)
def test_a_message_of_fields_reads_as_the_same_dict(values: dict[str, Any]) -> None:
    for codec in (Codec(), Codec(v2=True), Codec(v2=True, raw=True)):
        whole = codec.encode({"status": "ok"} | values)
        fields = codec.encode_fields(b'{"status":"ok"', values)
        one, other = (codec.decode(Frame(b"".join(map(bytes, each))[:-1], [])) for each in (whole, fields))
        assert same(one, other)


TOKENS = st.sampled_from(
    [
        '{"__jsonclass__":["',
        "nparray",
        "npscalar",
        "bytes",
        "tuple",
        "dict",
        "set",
        "slice",
        "Fraction",
        "complex",
        "OrderedDict",
        '",[',
        "]]}",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        '"',
        "'",
        "\\",
        "\\u0000",
        '"<f8"',
        '"|V1"',
        '"<U4"',
        '"|O"',
        '"AAAAAAAAAAA="',
        "0",
        "1",
        "-1",
        "9999999999999999999",
        "1e999",
        "NaN",
        "nan",
        "inf",
        "2j",
        "null",
        "true",
        'b"',
        "b'",
        " ",
        "nparray(",
        "npscalar(",
        "Fraction(",
        "OrderedDict(",
        "\x00",
        "é",
    ]
)
HOSTILE = st.one_of(st.text(), st.lists(TOKENS, max_size=25).map("".join))


@given(HOSTILE)
@settings(max_examples=400)
def test_decoders_raise_only_what_is_documented(text: str) -> None:
    for codec in (pyon, pyon_v1):
        try:
            codec.decode(text)
        except (TypeError, ValueError):
            continue


@given(st.lists(st.binary(max_size=30), max_size=6), st.booleans())
@settings(max_examples=200)
@example([b"#99999999999999 x\n"], True)
@example([b"#1,,2 x\n"], True)
@example([b"#3 [0]\nabc"], True)
def test_the_framing_raises_only_wire_errors(parts: list[bytes], raw: bool) -> None:
    reader = FrameReader(limit=64)
    reader.raw = raw
    try:
        for part in parts:
            for value in part:
                space = reader.space()
                space[0] = value
                space.release()
                reader.take(1)
    except WireError:
        return


def test_a_raw_buffer_must_be_used_exactly_once() -> None:
    one = b'{"__jsonclass__":["bytes",[0]]}'
    assert decode_line(one, [b"abc"]) == b"abc"
    for line, buffers in ((b"[" + one + b"," + one + b"]", [b"abc"]), (one, [b"a", b"b"]), (one, [])):
        with pytest.raises(ValueError, match="raw buffer"):
            decode_line(line, buffers)

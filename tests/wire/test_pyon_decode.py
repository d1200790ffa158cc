"""The decoder of PYON v2 by itself: its shortcuts change no value, and what they skip is refused all the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rexec.wire import _pyon_decode, pyon
from rexec.wire._framing import Frame
from rexec.wire._protocol import Codec, decode_request
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_encode import MAX_DEPTH
from rexec.wire.errors import FormatError

LARGE, LONG = 256 * 1024, 64 * 1024
"""Bytes of a line from which on base64 is cut out of it, and of the base64 that is."""


@pytest.mark.parametrize(
    "kind", [str, str.encode, lambda s: bytearray(s.encode()), lambda s: memoryview(s.encode())]
)
def test_a_line_of_any_type_is_read(kind: Callable[[str], Any]) -> None:
    for text, value in (
        ('{"a": 1, "b": "x"}', {"a": 1, "b": "x"}),
        ('{"a": 1.5, "b": null}', {"a": 1.5, "b": None}),
        ('[{"__jsonclass__":["tuple",[[1]]]}]', [(1,)]),
        ("[12345678901234567890123]", [12345678901234567890123]),
        ("[NaN, Infinity]", "[nan, inf]"),
        ('["\\u0041"]', ["A"]),
    ):
        for options in ({}, {"parse_int": int}):
            read = pyon.decode(kind(text), **options)
            assert (repr(read) if "NaN" in text else read) == value


@pytest.mark.parametrize("text", ['{"a":1}', "[1]", "1", '["\\u0041"]', "[12345678901234567890123]"])
def test_a_buffer_that_nothing_uses_is_refused_whatever_the_value_is(text: str) -> None:
    assert decode_line(text, []) == decode_line(text) == json.loads(text)
    with pytest.raises(ValueError, match="a raw buffer is not used"):
        decode_line(text, [b"x"])


def test_a_flat_value_needs_no_walk() -> None:
    for value, is_flat in (
        ({}, True),
        ({"a": 1, "b": "x", "c": True, "d": None}, True),
        ({"a": 1, "b": 1.5}, False),
        ({"b": [], "a": 1}, False),
        ({"a": {}}, False),
        ({"__jsonclass__": 1}, False),
        ([], False),
        ("a", False),
    ):
        assert _pyon_decode._is_flat(value) is is_flat


def test_long_base64_is_cut_out_of_large_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[int] = []
    extract = _pyon_decode._extract

    def extracted(text: Any) -> Any:
        text, found = extract(text)
        cut.append(len(found))
        return text, found

    monkeypatch.setattr(_pyon_decode, "_extract", extracted)
    tag, end = b'{"__jsonclass__":["bytes",["', b'"]]}'

    def line(*lengths: int, size: int, begin: bytes = b"[", close: bytes = b"]") -> bytes:
        text = begin + b",".join(tag + b"A" * length + end for length in lengths) + close
        return text + b" " * (size - len(text))

    for lengths, size, cuts in (
        ((LONG, LONG - 4), LARGE + 1, [1]),
        ((LONG - 4, LONG, 4, LONG + 4), LARGE + 1, [2]),
        ((LONG, LONG + 4), LARGE, []),
    ):
        cut.clear()
        assert list(map(len, decode_line(line(*lengths, size=size)))) == [
            length * 3 // 4 for length in lengths
        ]
        assert cut == cuts
    for begin, close in ((b"", b""), (b'{"__jsonclass__":["tuple",[[', b"]]]}")):
        cut.clear()
        decode_line(line(LONG, size=LARGE + 1, begin=begin, close=close))
        assert cut == [1]
    cut.clear()
    with pytest.raises(ValueError, match="a raw buffer is not used"):
        decode_line(line(LONG, size=LARGE + 1), [b"x"])  # where there are raw buffers, nothing is cut out
    assert cut == []


@pytest.mark.parametrize("wrap", ["[%s]", '{"a":%s}', '{"__jsonclass__":["tuple",[[%s]]]}'])
@pytest.mark.parametrize("options", [{}, {"parse_float": float}], ids=["usual", "own decoder"])
def test_each_kind_of_level_counts(wrap: str, options: dict[str, Any]) -> None:
    levels = 3 if "tuple" in wrap else 1
    tag = '{"__jsonclass__":["set",[[]]]}'  # its arguments are two levels below it
    most = (MAX_DEPTH - 2) // levels
    text = tag
    for _ in range(most):
        text = wrap % text
    pyon.decode(text, **options)
    with pytest.raises(ValueError, match=f"nested deeper than {MAX_DEPTH} levels"):
        pyon.decode(wrap % text, **options)
    with pytest.raises(ValueError, match=r"PYON"):
        pyon.decode(wrap.partition("%")[0] * 100_000, **options)


@pytest.mark.parametrize(
    "tag",
    [
        '["tuple",[[],[]]]', '["tuple",[]]', '["tuple",["ab"]]', '["tuple",[{}]]', '["set",["ab"]]', '["set",[[[]]]]',
        '["dict",[{"ab":1}]]', '["OrderedDict",["ab"]]', '["dict",[[[1]]]]',
        '["complex",[1]]', '["complex",["1",0]]', '["complex",[0,"1"]]', '["complex",[true,0]]', '["complex",[0,null]]',
        '["Fraction",[1]]', '["Fraction",["1",2]]', '["Fraction",[1,"2"]]',
        '["Fraction",[1.0,2]]', '["Fraction",[true,2]]', '["Fraction",[1,true]]', '["Fraction",[1,2.0]]',
        '["slice",[1,2]]',
        '["bytes",["",""]]', '["bytes",[]]', '["nparray",[[1],"<u1"]]', '["npscalar",["<u1"]]',
        '["npscalar",["<u1","AA==",1]]', '["tuple",[[]],1]', '["tuple"]', '["tuple",{}]', '[1,[]]', '[["tuple"],[]]',
        '"tuple"', "null", "{}",
    ],
)  # fmt: skip
def test_a_tag_with_other_arguments_than_its_own_is_a_type_error(tag: str) -> None:
    with pytest.raises(TypeError, match="PYON"):
        pyon.decode(f'{{"__jsonclass__":{tag}}}')


def test_the_object_hook_is_pyon_s_own() -> None:
    with pytest.raises(TypeError, match="object_hook is what PYON itself needs"):
        pyon.decode("1", object_hook=dict)


@pytest.mark.parametrize("text", [b"\xff", b"[1", b"[" + b"1" * 5000 + b"]", b"", b"[1]]"])
def test_what_is_no_json_is_an_error_of_json(text: bytes) -> None:
    with pytest.raises(json.JSONDecodeError, match=r"not PYON: ."):
        pyon.decode(text)


def test_a_type_is_taken_out_under_its_own_name_only() -> None:
    class One:
        pass

    class Two:
        pass

    def register(name: str, *kinds: type) -> None:
        pyon.register(kinds, name=name, encode=lambda _: [], decode=kinds[0])

    for _ in range(2):  # what was taken out can be registered again
        register("test.one", One)
        register("test.two", Two)
        for kinds, name, said in (
            ([One, Two], "test.one", "Two is not registered with PYON as 'test.one'"),
            ([int], "test.one", "int is not registered with PYON as 'test.one'"),
            ([One], "test.none", "test.none"),
        ):
            with pytest.raises(KeyError, match=said):
                pyon.deregister(kinds, name)
        assert pyon.is_registered(One)
        assert type(pyon.decode(pyon.encode(One()))) is One
        pyon.deregister([One], "test.one")
        assert (pyon.is_registered(One), pyon.is_registered(Two)) == (False, True)
        pyon.deregister([Two], "test.two")
    with pytest.raises(TypeError):
        pyon.encode(One())


@pytest.mark.parametrize("codec", [Codec(), Codec(v2=True)])
def test_a_request_of_an_unknown_type_is_answered_and_a_malformed_one_is_not(codec: Codec) -> None:
    assert decode_request(codec, Frame(b'{"a":1}')) == {"a": 1}
    line = b'{"__jsonclass__":["nothing",[]]}' if codec.v2 else b"Fraction(1)"
    assert isinstance(decode_request(codec, Frame(line)), TypeError)
    with pytest.raises(FormatError, match="no request: not PYON"):
        decode_request(codec, Frame(b"GET /"))

"""The parser of PYON v1 by itself: its grammar is closed, and what each text means."""

from collections import OrderedDict
from fractions import Fraction
from typing import Any

import pytest

from rexec.wire import pyon_v1
from rexec.wire._pyon_encode import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None), ("None", None), ("true", True), ("True", True), ("false", False), ("False", False),
        ("0", 0), ("-7", -7), ("+7", 7), ("00.5", 0.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1e3), ("-1.5E-2", -0.015),
        ("inf", float("inf")), ("-inf", float("-inf")), ("2j", 2j), ("1+2j", 1 + 2j), ("(1-2j)", 1 - 2j),
        ("(infj)", complex("infj")), (" 1 ", 1),
        ('"a"', "a"), ("'a'", "a"), ('"\\n\\t\\\\\\""', '\n\t\\"'), ('"\\x41\\u00e4\\U0001f600"', "A\xe4\U0001f600"),
        ('"\\ud83d\\ude00"', "\U0001f600"), ('"\\101\\7"', "A\x07"), ('"\\/"', "/"),
        ('b"ab"', b"ab"), ("b'ab'", b"ab"), ('b""', b""), ('b"\\x00\\377"', b"\0\xff"), ('b"a\\"b"', b'a"b'),
        ("b'\\n'", b"\n"),
        ("[]", []), ("[1]", [1]), ("[1,]", [1]), ("[1, 2]", [1, 2]), ("[[1], []]", [[1], []]),
        ("()", ()), ("(1)", 1), ("(1,)", (1,)), ("(1, 2)", (1, 2)), ("((1,),)", ((1,),)),
        ("{}", {}), ("{1}", {1}), ("{1, 2,}", {1, 2}), ("{1: 2}", {1: 2}), ('{"a": [1], "b": 2,}', {"a": [1], "b": 2}),
        ("{(1, 2): 3}", {(1, 2): 3}),
        ("slice(1, 2, None)", slice(1, 2, None)), ("Fraction(1, 2)", Fraction(1, 2)), ("OrderedDict()", OrderedDict()),
        ('OrderedDict([("a", 1)])', OrderedDict(a=1)), ('OrderedDict((("a", 1),))', OrderedDict(a=1)),
        ('npscalar("|u1", b"Bw==")', 7),
    ],
)  # fmt: skip
def test_a_text_has_one_meaning(text: str, value: Any) -> None:
    for form in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
        found = pyon_v1.decode(form)
        assert found == value
        assert type(found) is type(value) or text.startswith("npscalar")


@pytest.mark.parametrize(
    "text",
    [
        "]", ")", "}", ":", ",", "[", "(", "{", "[)", "(]", "{]", "[1 2]", "(1 2)", "{1 2}", "{1: 2 3: 4}", "{1: 2, 3}",
        "{1, 2: 3}", "{1:}", "{:1}", "[,]", "[1,,2]", "(,)", "{,}", "1 2", "[1]]", "() ()", "1,",
        "slice(1, 2, 3", "slice", "slice[1]", "nothing(1)", "null()", "01", "-00", "+", "1e", "1x", "1.5.5", "0x1",
        '"\\q"', '"\\U00110000"', 'b"\\u0041"x', 'b"\\u0141"', 'b"\\777"', '"a', "'a\"", 'b"a',
        '"a\nb"', 'b"a\nb"', "b'a\nb'",
        "\x00", "1 #", "",
    ],
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not PYON v1"):
        pyon_v1.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "Fraction(1)", "Fraction(1, 0)", "Fraction(1.0, 2)", "Fraction(1, 2.0)", "Fraction(true, 2)",
        "Fraction(1, true)", "slice()", "slice(1, 2, 3, 4)", 'OrderedDict("ab")', "OrderedDict({1: 2})",
        "OrderedDict([1])", "OrderedDict([], [])", 'npscalar("|u1")', "{[]}", "{[]: 1}", "{{1}: 1}",
    ],
)  # fmt: skip
def test_arguments_that_make_no_such_value_are_a_type_error(text: str) -> None:
    with pytest.raises(TypeError):
        pyon_v1.decode(text)


@pytest.mark.parametrize(
    ("wrap", "levels"),
    [("[%s]", 1), ("(%s,)", 1), ('{"a": %s}', 1), ("{%s: 1}", 1), ("slice(1, %s, 2)", 1),
     ('OrderedDict([("a", %s)])', 3)],
)  # fmt: skip
def test_each_kind_of_level_counts(wrap: str, levels: int) -> None:
    text = "1"
    for _ in range(MAX_DEPTH // levels):
        text = wrap % text
    if not wrap.startswith("{%s"):  # a dict is no key
        pyon_v1.decode(text)
    with pytest.raises(ValueError, match=f"nested deeper than {MAX_DEPTH} levels"):
        pyon_v1.decode(wrap % text)


def test_an_error_says_where_it_is() -> None:
    for text, at, said in (
        ("[1, 2 3]", 6, "3]"),
        ("[1, x y]", None, "unknown name 'x'"),
        ("1 \x00", 0, "1 "),
    ):
        with pytest.raises(ValueError, match="not PYON v1") as caught:
            pyon_v1.decode(text)
        assert said in str(caught.value)
        assert at is None or f"at character {at}:" in str(caught.value)

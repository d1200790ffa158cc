"""What a person types for an argument, and what `--list` prints, mean the same."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.experiment import (
    ArgumentError,
    BooleanValue,
    CenterScan,
    EnumerationValue,
    ExplicitScan,
    NoScan,
    NumberValue,
    PYONValue,
    RangeScan,
    Scannable,
    StringValue,
)
from rexec.experiment.typed import Typed, as_typed, parse_arguments, read, refusal
from rexec.ground.units import UNITS

MHZ = NumberValue(unit="MHz")
SCAN = Scannable(unit="us")
PLAIN = NumberValue()
SCAN_FORMS = "START..STOP:POINTS, range(), center(), explicit(), or one value"


def value(text: str, processor: Any) -> Any:
    found = processor.process(read("a", text, processor.describe()))
    return found.describe() if hasattr(found, "describe") else found


@pytest.mark.parametrize(
    ("text", "processor", "expected"),
    [
        ("5ms", NumberValue(unit="ms"), 5e-3),
        (" 2 * us ", NumberValue(unit="ms"), 2e-6),
        ("3µs", NumberValue(unit="ms"), 3e-6),
        ("729.3MHz", MHZ, 729.3e6),
        ("20kHz", MHZ, 20e3),
        ("-.5e1Hz", MHZ, -5.0),
        ("0", MHZ, 0.0),
        ("inf", MHZ, math.inf),
        ("3", NumberValue(unit="V"), 3.0),
        ("7", PLAIN, 7.0),
        ("1_000", PLAIN, 1000.0),
        # The experiment works in MHz: its numbers are what is shown.
        ("2", NumberValue(unit="MHz", scale=1), 2.0),
        ("500kHz", NumberValue(unit="MHz", scale=1), 0.5),
        ("2turn", NumberValue(unit="turn", scale=360.0), 720.0),
        ("5%", NumberValue(unit="%", scale=0.01), 0.05),
        ("2 1/s", NumberValue(unit="1/s", scale=1), 2.0),
        ("2*10", NumberValue(scale=10), 20.0),
        ("fast", EnumerationValue(["fast", "slow"]), "fast"),
        ('"fast"', EnumerationValue(["fast", "slow"]), "fast"),
        ("1", EnumerationValue(["1", "2"]), "1"),
        ("on", BooleanValue(), True),
        ("False", BooleanValue(), False),
        ("a word", StringValue(), "a word"),
        ("", StringValue(), ""),
        ("5", StringValue(), "5"),
        ('"a\\"b"', StringValue(), 'a"b'),
        ("'x'", StringValue(), "x"),
        ("'x", StringValue(), "'x"),
        ("'it's'", StringValue(), "'it's'"),
        ('""', StringValue(), ""),
        ('"', StringValue(), '"'),
        (" 2 ", EnumerationValue([1, 2]), 2),
        ("None", EnumerationValue([1, None]), None),
        ("null", EnumerationValue([1, None]), None),
        ("1", EnumerationValue([1.0]), 1),
        ("(1, 'a')", EnumerationValue([(1, "a")]), (1, "a")),
        ("range(0, 3)", EnumerationValue([range(3)]), range(3)),
        ("off", BooleanValue(), False),
        ("no", BooleanValue(), False),
        ("yes", BooleanValue(), True),
        ("false", BooleanValue(), False),
        ("true", BooleanValue(), True),
        ("[1, 2.5]", PYONValue(), [1, 2.5]),
        ("(1, None)", PYONValue(), (1, None)),
        ("True", PYONValue(), True),
        ('"[1]"', PYONValue(), [1]),  # as artiq_run has it
    ],
)
def test_a_value_is_read_for_the_kind_of_its_argument(text: str, processor: Any, expected: Any) -> None:
    found = value(text, processor)
    assert found == expected
    assert type(found) is type(expected)


def scan(kind: str, **fields: Any) -> dict[str, Any]:
    order = {"randomize": False, "seed": None} if kind in ("RangeScan", "CenterScan") else {}
    return {"ty": kind, **order, **fields}


US = UNITS["us"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0..100us:21", scan("RangeScan", start=0, stop=100 * US, npoints=21)),
        ("-1..100us:21", scan("RangeScan", start=-1 * US, stop=100 * US, npoints=21)),
        ("1us .. 2ms : 3", scan("RangeScan", start=US, stop=2e-3, npoints=3)),
        ("range(0,100us,21)", scan("RangeScan", start=0, stop=100 * US, npoints=21)),
        (
            "RangeScan(0, 9us, 3, randomize=true, seed=4)",
            scan("RangeScan", start=0, stop=9 * US, npoints=3, randomize=True, seed=4),
        ),
        ("center(5us, 2us, 100ns)", scan("CenterScan", center=5 * US, span=2 * US, step=100 * UNITS["ns"])),
        ("explicit(1,2,5us)", scan("ExplicitScan", sequence=[US, 2 * US, 5 * US])),
        ("5us", scan("NoScan", value=5 * US, repetitions=1)),
        ("noscan(5us, 10)", scan("NoScan", value=5 * US, repetitions=10)),
        ("noscan(5us)", scan("NoScan", value=5 * US, repetitions=1)),
        ("explicit()", scan("ExplicitScan", sequence=[])),
        ("range(0, 9us, 3, seed=none)", scan("RangeScan", start=0, stop=9 * US, npoints=3)),
        (
            '{"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 2}',
            scan("RangeScan", start=0, stop=1, npoints=2),
        ),
    ],
)
def test_a_scan_is_typed_in_the_argument_s_unit(text: str, expected: dict[str, Any]) -> None:
    assert value(text, SCAN) == expected


@pytest.mark.parametrize(
    ("text", "processor", "said"),
    [
        ("729.3", MHZ, "has two meanings: 729.3MHz as --list shows it, 729.3Hz as PYON"),
        ("7e8", MHZ, "two meanings"),
        ('"7"', MHZ, "two meanings"),
        ("2", NumberValue(unit="turn", scale=360.0), "2turn as --list shows it, 2*1 as PYON"),
        ("2", NumberValue(scale=10), "2*10.0 as --list shows it, 2*1 as PYON"),
        ("0..5:3", SCAN, "5us as --list shows it, 5s as PYON"),
        ("1us..5:3", SCAN, "two meanings"),
        ("center(729, 1us, 1us)", SCAN, "two meanings"),
        ("explicit(1us, 2)", SCAN, "two meanings"),
        ("5", SCAN, "two meanings"),
        ("5ms", MHZ, "'ms' is not a unit that it takes"),
        ("5GHZ", MHZ, "Did you mean 'GHz'? It takes"),
        ("5ms", PLAIN, "a number without one"),
        ("x", MHZ, "'x' is not a number"),
        ("", MHZ, "'' is not a number"),
        ("0..5us", SCAN, "0..5us:21 has 21"),
        ("0..5us:2.5", SCAN, "'2.5' is not a number of points"),
        ("range(0, 5us)", SCAN, "has the parts start, stop, npoints"),
        ("range(0, 5us, 3, randomise=true)", SCAN, "randomize=true and seed=NUMBER"),
        ("range(0, 5us, 3, randomize=maybe)", SCAN, "randomize=true and seed=NUMBER"),
        ("noscan(5us, 3, seed=1)", SCAN, "a value that is repeated has no random order"),
        ("explicit(1us, true)", SCAN, "'true' is not a number"),
        ("[1]", SCAN, "[1] is no scan"),
        ("[1]", PLAIN, "[1] is no number"),
        ("foo(3)", SCAN, "is not a scan"),
        ("explicit(1us, x)", SCAN, "'x' is not a number"),
        ("fsat", EnumerationValue(["fast", "slow"]), "Did you mean 'fast'? It takes one of fast, slow"),
        ("1", BooleanValue(), "1 is not true or false"),
        ("abc", PYONValue(), "'abc' is not a value (not PYON v1: unknown name 'abc'). It takes a PYON value"),
        ("__import__('os')", PYONValue(), "is not a value"),
    ],
)
def test_a_mistake_names_the_argument_what_it_takes_and_an_example(
    text: str, processor: Any, said: str
) -> None:
    from rexec.experiment.argument_manager import ArgumentManager

    with pytest.raises(ArgumentError, match=re.escape(said)) as caught:
        ArgumentManager({"a": Typed(text)}).get("a", processor)
    assert str(caught.value).startswith("argument 'a': ")
    example = re.search(r"It takes .*, for example a=(.*)$", str(caught.value))
    assert example is not None
    value(example[1], processor)


NUMBERS = st.floats(allow_nan=False) | st.integers(-(10**20), 10**20)
KINDS = [
    NumberValue,
    *(lambda default, unit=unit: NumberValue(default, unit) for unit in UNITS),
    lambda default: NumberValue(default, "turn", scale=360.0),
    lambda default: NumberValue(default, scale=7.3),
    lambda default: NumberValue(default, "MHz", scale=1),
]


@given(NUMBERS, st.sampled_from(KINDS))
def test_the_printed_default_of_a_number_is_that_number(number: float, kind: Any) -> None:
    processor = kind(number)
    assert value(as_typed(processor.describe()), processor) == processor.default()


SCANS = st.one_of(
    st.builds(RangeScan, NUMBERS, NUMBERS, st.integers(0, 5), st.booleans(), st.none() | st.integers(0, 9)),
    st.builds(CenterScan, st.floats(-1e9, 1e9), st.just(2.5), st.sampled_from([0.1, 1])),
    st.builds(ExplicitScan, st.lists(NUMBERS, max_size=4) | st.just(np.linspace(0, 1, 4))),
    st.builds(NoScan, NUMBERS | st.text() | st.none(), st.integers(1, 3)),
)


@given(SCANS, st.sampled_from(["", "us", "MHz", "V"]))
def test_the_printed_default_of_a_scan_is_that_scan(default: Any, unit: str) -> None:
    processor = Scannable(default, unit)
    described = default.describe()
    if not described.get("randomize"):
        described.pop("seed", None)
    again = value(as_typed(processor.describe()), processor)
    assert all(np.all(again[name] == field) for name, field in described.items())


@given(st.text(), st.lists(st.text(), max_size=3))
def test_the_printed_default_of_any_other_kind_is_that_value(text: str, more: list[str]) -> None:
    for processor in (
        StringValue(text),
        PYONValue(text),
        PYONValue(more),
        EnumerationValue([text, *more], text),
    ):
        assert value(as_typed(processor.describe()), processor) == processor.default()


def test_the_first_of_several_default_scans_is_printed() -> None:
    assert as_typed(Scannable([NoScan(2), RangeScan(0, 1, 5)]).describe()) == "2"
    assert as_typed(Scannable([RangeScan(0, 1, 5), NoScan(2)]).describe()) == "0..1:5"


def test_words_are_keys_and_texts() -> None:
    assert parse_arguments(["a=3", "b==x", " c ="]) == {"a": "3", "b": "=x", "c": ""}
    for words, said in ((["a"], "KEY=VALUE"), (["=1"], "KEY=VALUE"), (["a=1", "a=2"], "given twice")):
        with pytest.raises(ArgumentError, match=said):
            parse_arguments(words)


def test_what_a_processor_gets_is_the_number_as_it_was_typed() -> None:
    for text, processor, expected in (
        ("5Hz", MHZ, 5),
        ("5", PLAIN, 5),
        ("true", PLAIN, True),
        ('"5"', PLAIN, 5),
    ):
        found = read("a", text, processor.describe())
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        (MHZ, "a number with a unit (mHz, Hz, kHz, MHz, GHz), for example a=1MHz"),
        (NumberValue(2e6, "MHz"), "a number with a unit (mHz, Hz, kHz, MHz, GHz), for example a=2MHz"),
        (PLAIN, "a number, for example a=1"),
        (EnumerationValue(["fast", " x", 1, range(3)]), 'one of fast, " x", 1, range(0, 3), for example a=fast'),
        (EnumerationValue(["fast", "slow"], "slow"), "one of fast, slow, for example a=slow"),
        (EnumerationValue([]), "one of , for example a="),
        (BooleanValue(), "true or false, for example a=true"),
        (BooleanValue(False), "true or false, for example a=false"),
        (StringValue(), "text, for example a=text"),
        (StringValue('"'), 'text, for example a="'),
        (StringValue("\n"), 'text, for example a="\\n"'),
        (Scannable(), f"a scan: {SCAN_FORMS}, for example a=0..10:11"),
        (
            Scannable(NoScan(2, 3), "us"),
            f"a scan with a unit (ps, ns, us, ms, s): {SCAN_FORMS}, for example a=noscan(2000000us, 3)",
        ),
        (PYONValue(), "a PYON value (number, true, null, list, dict, text in double quotes), for example a=[1, 2]"),
        (PYONValue(2), "a PYON value (number, true, null, list, dict, text in double quotes), for example a=2"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_the_argument_takes(processor: Any, text: str) -> None:
    for reason, end in (("it is wrong", "."), ("it is wrong.", ""), ("what?", "")):
        error = refusal("a", reason, processor.describe())
        assert str(error) == f"argument 'a': {reason}{end} It takes {text}"

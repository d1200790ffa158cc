"""Argument processors take what ARTIQ's take, refuse the rest, and describe themselves alike."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.experiment import (
    BooleanValue,
    DefaultMissing,
    EnumerationValue,
    NumberValue,
    PYONValue,
    StringValue,
)
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.arguments import doubts


@pytest.mark.parametrize(
    ("processor", "given_value", "wanted"),
    [
        (NumberValue(), 2, 2.0),
        (NumberValue(precision=0, step=1, scale=1), 2.0, 2),
        (NumberValue(precision=0, step=1, scale=1, type="int"), 3, 3),
        (NumberValue(precision=0, step=1, scale=1, type="float"), 3, 3.0),
        (BooleanValue(), True, True),
        (StringValue(), "a b", "a b"),
        (EnumerationValue(["a", "b"]), "b", "b"),
        (PYONValue(), "[1,2]", [1, 2]),
        (PYONValue(), [1, 2], [1, 2]),
    ],
)
def test_a_value_is_converted(processor: Any, given_value: Any, wanted: Any) -> None:
    value = processor.process(given_value)
    assert value == wanted
    assert type(value) is type(wanted)


@pytest.mark.parametrize(
    ("processor", "given_value", "said"),
    [
        (NumberValue(), "two", "no number"),
        (NumberValue(), None, "no number"),
        (EnumerationValue(["fast", 5]), 6, "6 is none of 'fast', 5."),
        (NumberValue(precision=0, step=1, scale=1), "1.5", "no whole number"),
        (NumberValue(precision=0, step=1, scale=1), float("inf"), "no whole number"),
        (BooleanValue(), 1, "not true or false"),
        (EnumerationValue(["fast", "slow"]), "fats", "Did you mean 'fast'?"),
        (PYONValue(), "[1", "no PYON"),
    ],
)
def test_a_wrong_value_is_refused(processor: Any, given_value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        processor.process(given_value)


@pytest.mark.parametrize("kind", [NumberValue, BooleanValue, StringValue, PYONValue])
def test_an_argument_without_default_says_so(kind: Any) -> None:
    with pytest.raises(DefaultMissing):
        kind().default()
    assert "default" not in kind().describe()


def test_a_number_is_described_as_by_artiq() -> None:
    # Recorded from artiq.experiment of ARTIQ 9.
    assert NumberValue(2e6, unit="MHz").describe() == {
        "ty": "NumberValue",
        "default": 2000000.0,
        "unit": "MHz",
        "scale": 1000000.0,
        "step": 100000.0,
        "min": None,
        "max": None,
        "precision": 2,
        "type": "auto",
    }


def test_the_others_are_described_as_by_artiq() -> None:
    assert BooleanValue(True).describe() == {"ty": "BooleanValue", "default": True}
    assert PYONValue([1, (2,)]).describe() == {
        "ty": "PYONValue",
        "default": '[1,{"__jsonclass__":["tuple",[[2]]]}]',
    }
    assert StringValue("a").describe() == {"ty": "StringValue", "default": "a"}
    assert EnumerationValue(["a"]).describe() == {
        "ty": "EnumerationValue",
        "choices": ["a"],
        "quickstyle": False,
    }
    assert EnumerationValue(["a", "b"], "b", quickstyle=True).describe() == {
        "ty": "EnumerationValue",
        "default": "b",
        "choices": ["a", "b"],
        "quickstyle": True,
    }


def test_a_declaration_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="settings are not compatible"):
        NumberValue(1.5, type="int")
    with pytest.raises(TypeError, match="type must be"):
        NumberValue(type="complex")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="Unit foo is unknown"):
        NumberValue(1, unit="foo")
    with pytest.raises(ValueError, match="none of"):
        EnumerationValue(["a"], "c")


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_whole_numbers_pass_unchanged(value: int) -> None:
    processor = NumberValue(precision=0, step=1, scale=1)
    assert processor.process(value) == value
    assert processor.process(float(value)) == value


@pytest.mark.parametrize(
    ("processor", "value", "said"),
    [
        (NumberValue(min=1.0), 0.5, "0.5 is below the minimum 1.0"),
        (NumberValue(max=2e6, unit="MHz"), 3e6, "3000000.0 Hz is above the maximum 2000000.0 Hz"),
        (NumberValue(precision=0, step=1, scale=1), 2.5, "it is a whole number: 2.5 becomes 2"),
    ],
)
def test_a_value_that_a_dashboard_would_not_send_is_taken_and_doubted(
    processor: Any, value: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    ArgumentManager({"a": value}).get("a", processor)
    assert f"argument 'a': {said}" in caplog.text
    caplog.clear()
    ArgumentManager({"a": 1.0}).get("a", processor)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("description", "given_value", "value"),
    [
        ({"ty": "NumberValue", "min": 1, "max": 1}, 1, 1),
        ({"ty": "NumberValue", "max": 1}, 0.5, "text"),
        ({"ty": "StringValue", "max": 1}, 2, 2),
        ({"ty": "NumberValue"}, 2.5, 2.0),
        ({"ty": "NumberValue"}, "2.5", 2),
    ],
)
def test_nothing_else_is_doubted(description: Any, given_value: Any, value: Any) -> None:
    assert doubts(description, given_value, value) == []


def test_settings_of_a_number_and_of_choices_are_as_given() -> None:
    number = NumberValue(unit="turn", scale=360.0, step=5.0, min=1.0, max=9.0, ndecimals=4, type="float")
    assert number.describe() == {
        "ty": "NumberValue", "unit": "turn", "scale": 360.0, "step": 5.0, "min": 1.0, "max": 9.0, "precision": 4,
        "type": "float",
    }  # fmt: skip
    for choices, kept in ((("a", "b"), ("a", "b")), (iter("ab"), ["a", "b"])):
        assert EnumerationValue(choices).choices == kept


def test_a_number_beyond_floats_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="an integer of 16610 bits is no number"):
        NumberValue(10**5000, type="float")

    class Odd:
        def __repr__(self) -> str:
            raise ValueError("too long")

    with pytest.raises(ValueError, match="a Odd is no number"):
        NumberValue(Odd())

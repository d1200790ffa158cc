"""The argument manager hands out, records and refuses arguments."""

from collections.abc import Iterator
from typing import Any

import pytest

from rexec.experiment import ArgumentError, NumberValue, PYONValue, StringValue
from rexec.experiment.argument_manager import ArgumentManager, parse_arguments


def test_a_command_line_is_parsed_as_pyon_of_either_version() -> None:
    words = [
        "a=3",
        "b=[1,2.5]",
        'c="text"',
        "d=true",
        "e=True",
        "f=(1,2)",
        "g='x'",
        "h=None",
        "i=1e6",
        "j= 5",
    ]
    assert parse_arguments(words) == {
        "a": 3,
        "b": [1, 2.5],
        "c": "text",
        "d": True,
        "e": True,
        "f": (1, 2),
        "g": "x",
        "h": None,
        "i": 1e6,
        "j": 5,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a"], "not of the form KEY=VALUE"),
        (["=1"], "not of the form KEY=VALUE"),
        (["a=1", "a=2"], "given twice"),
        (["a=word"], "a='\"word\"'"),
        (["a=[1,"], "no value"),
        (["a="], "no value"),
        (["a=__import__('os')"], "no value"),
    ],
)
def test_a_wrong_command_line_is_explained(words: list[str], said: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_arguments(words)
    assert said in str(caught.value)


def test_what_was_used_is_recorded_with_its_origin() -> None:
    manager = ArgumentManager({"a": 2})
    assert manager.get("a", NumberValue(1.0)) == 2.0
    assert manager.get("b", NumberValue(3.0), "group", "tip") == 3.0
    assert (manager.used["a"].value, manager.used["a"].defaulted) == (2.0, False)
    assert (manager.used["b"].value, manager.used["b"].defaulted, manager.used["b"].group) == (
        3.0,
        True,
        "group",
    )


def test_arguments_that_nobody_asked_for_are_an_error_with_the_nearest() -> None:
    manager = ArgumentManager({"freqency": 1.0})
    manager.get("frequency", NumberValue(1.0))
    with pytest.raises(ArgumentError, match="Did you mean 'frequency'"):
        manager.check_unprocessed_arguments()


def test_a_needed_argument_is_named() -> None:
    with pytest.raises(ArgumentError, match="'a' is needed"):
        ArgumentManager({}).get("a", NumberValue())


def test_a_refused_value_names_its_argument() -> None:
    with pytest.raises(ArgumentError, match="argument 'a': 5 is no string"):
        ArgumentManager({"a": 5}).get("a", StringValue())


def test_a_processor_that_decodes_gets_text_as_from_a_dashboard() -> None:
    assert ArgumentManager({"a": [1, (2,)]}).get("a", PYONValue()) == [1, (2,)]
    assert ArgumentManager({"a": "[1]"}).get("a", PYONValue()) == [1]


def answers(*lines: str) -> Any:
    left: Iterator[str] = iter(lines)

    def ask(prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return ask


def test_interactive_arguments_are_asked_until_they_are_right() -> None:
    manager = ArgumentManager({}, answers("word", "5", ""))
    requests = [("a", NumberValue(), None, None), ("b", NumberValue(2.0), "group", None)]
    assert manager.get_interactive(requests, "title") == {"a": 5.0, "b": 2.0}


def test_no_answer_cancels_interactive_arguments() -> None:
    requests = [("a", NumberValue(), None, None)]
    assert ArgumentManager({}, answers()).get_interactive(requests, "title") is None
    assert ArgumentManager({}).get_interactive(requests, "title") is None

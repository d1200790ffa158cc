"""The argument manager hands out, records and refuses arguments."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.experiment import (
    ArgumentError,
    BooleanValue,
    NoScan,
    NumberValue,
    PYONValue,
    RangeScan,
    Scannable,
    StringValue,
)
from rexec.experiment.argument_manager import ArgumentManager, described
from rexec.experiment.typed import Typed


def test_what_was_used_is_recorded_with_its_origin() -> None:
    manager = ArgumentManager({"a": 2})
    assert manager.get("a", NumberValue(1.0)) == 2.0
    assert manager.get("b", NumberValue(3.0), "group", "tip") == 3.0
    assert (manager.used["a"].value, manager.used["a"].group) == (2.0, None)
    assert (manager.used["b"].value, manager.used["b"].group) == (3.0, "group")


def test_arguments_that_nobody_asked_for_are_an_error_with_the_nearest() -> None:
    manager = ArgumentManager({"freqency": 1.0})
    manager.get("frequency", NumberValue(1.0))
    said = r"no argument 'freqency': it has frequency\. Did you mean 'frequency'\?"
    with pytest.raises(ArgumentError, match=said):
        manager.check_unprocessed_arguments()
    with pytest.raises(ArgumentError, match=r"no argument 'a', 'b': it has none\.$"):
        ArgumentManager({"a": 1, "b": 2}).check_unprocessed_arguments()


def test_a_needed_argument_is_named() -> None:
    with pytest.raises(ArgumentError, match="'a': it is needed"):
        ArgumentManager({}).get("a", NumberValue())


def test_a_refused_value_names_its_argument() -> None:
    with pytest.raises(ArgumentError, match="argument 'a': 5 is not true or false"):
        ArgumentManager({"a": 5}).get("a", BooleanValue())

    class Odd(BooleanValue):
        def process(self, x: object) -> bool:
            return {"yes": True}[str(x)]

    with pytest.raises(ArgumentError, match="argument 'a': KeyError: 'no'"):
        ArgumentManager({"a": "no"}).get("a", Odd())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError(), "argument 'a': KeyError: KeyError. It takes true or false, for example a=true"),
        (OSError("one\ntwo"), "argument 'a': OSError: one. It takes true or false, for example a=true"),
        (ValueError("one"), "argument 'a': one. It takes true or false, for example a=true"),
        (ArgumentError("its own words"), "its own words"),
    ],
    ids=repr,
)
def test_whatever_a_processor_raises_is_one_line(error: Exception, said: str) -> None:
    class Refuses(BooleanValue):
        def process(self, x: object) -> bool:
            raise error

        def describe(self) -> dict[str, Any]:
            return BooleanValue().describe()

    with pytest.raises(ArgumentError) as caught:
        ArgumentManager({"a": 1}).get("a", Refuses())
    assert str(caught.value) == said


@pytest.mark.parametrize("describe", [None, lambda: "text", dict, lambda: {"ty": "Odd"}])
def test_only_a_scan_is_sent_as_its_description(describe: Any) -> None:
    value = SimpleNamespace(describe=describe)
    assert described(value) == ({"ty": "Odd"} if describe and describe() == {"ty": "Odd"} else value)


def test_a_processor_derived_from_one_of_pyon_gets_text() -> None:
    class Derived(PYONValue):
        """What an experiment may define."""

    manager = ArgumentManager({"a": [1]})
    assert manager.get("a", Derived()) == [1]
    assert manager.get("b", Derived(2)) == 2
    assert {key: each.given for key, each in manager.used.items()} == {"a": "[1]", "b": "2"}


def test_arguments_are_kept_in_the_form_in_which_a_dashboard_sends_them() -> None:
    manager = ArgumentManager({"list": [1, 2], "text": "[3]", "scan": RangeScan(0, 1, 2)})
    for key, processor in {
        "list": PYONValue(), "text": PYONValue(), "default": PYONValue({"a": 1}), "number": NumberValue(5),
        "scan": Scannable(), "other": Scannable(NoScan(3)),
    }.items():  # fmt: skip
        manager.get(key, processor)
    assert {key: each.given for key, each in manager.used.items()} == {
        "list": "[1,2]", "text": "[3]", "default": '{"a":1}', "number": 5.0, "scan": RangeScan(0, 1, 2).describe(),
        "other": NoScan(3).describe(),
    }  # fmt: skip


def test_what_was_typed_is_read_for_its_argument_and_given_in_base_units() -> None:
    manager = ArgumentManager({"f": Typed("2.5MHz"), "s": Typed("5"), "p": Typed("[1]"), "other": Typed("x")})
    assert manager.get("f", NumberValue(unit="MHz")) == 2.5e6
    assert manager.get("s", StringValue()) == "5"
    assert manager.get("p", PYONValue()) == [1]
    assert manager.given == {"f": 2.5e6, "s": "5", "p": "[1]", "other": "x"}


def test_the_arguments_of_an_earlier_run_are_used_unless_others_are_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = ArgumentManager({"a": Typed("1")}, None, {"a": 5.0, "b": 6.0, "gone": 7.0})
    assert [manager.get(key, NumberValue(2.0)) for key in "abc"] == [1.0, 6.0, 2.0]
    manager.check_unprocessed_arguments()
    assert manager.given == {"a": 1, "b": 6.0}
    assert "no longer has the arguments gone" in caplog.text


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


def test_interactive_arguments_are_asked_until_they_are_right(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(lines)

    lines = iter(["word", " ", " 5 ", "", "[3]"])
    requests = [
        ("a", NumberValue(), None, None),
        ("b", NumberValue(2.0), "group", "tip"),
        ("c", PYONValue(), None, None),
    ]
    assert ArgumentManager({}, ask).get_interactive(requests, "title") == {"a": 5.0, "b": 2.0, "c": [3]}
    assert asked == [
        *["title: a (NumberValue) = "] * 3,
        "title · group · tip: b [2] (NumberValue) = ",
        "title: c (PYONValue) = ",
    ]
    assert [text.partition(" It ")[0] for text in caplog.messages] == [
        "argument 'a': 'word' is not a number.",
        "argument 'a': it is needed, because it has no default.",
    ]
    lines = iter(["4"])
    assert ArgumentManager({}, ask).get_interactive(requests[:1], "") == {"a": 4.0}
    assert asked[-1] == "a = "


def test_no_answer_cancels_interactive_arguments(caplog: pytest.LogCaptureFixture) -> None:
    requests = [("a", NumberValue(), None, None), ("b", NumberValue(), None, None)]
    assert ArgumentManager({}, answers("1")).get_interactive(requests, "title") is None
    assert ArgumentManager({}).get_interactive(requests, "title") is None
    assert caplog.messages == [
        "the request for a, b (title) was cancelled",
        "the experiment asks for a, b (title), but there is no terminal: cancelled",
    ]


def test_a_default_that_fails_is_no_missing_one() -> None:
    class Fails(NumberValue):
        def default(self) -> Any:
            raise OSError("the file of defaults is gone")

    with pytest.raises(OSError, match="the file of defaults is gone"):
        ArgumentManager({}).get("x", Fails())

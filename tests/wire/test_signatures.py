"""Signatures are shown as Python writes them."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from rexec.wire.signatures import listing, signature


def plain(self, a, b=2): ...  # type: ignore[no-untyped-def]
def typed(self: Any, a: int, *args: float, key: str = "x", **more: bool) -> list[int]: ...  # type: ignore[empty-body]
def keyword_only(*, gain, offset=0.5): ...  # type: ignore[no-untyped-def]
def nothing(self): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("function", [plain, typed, keyword_only, nothing])
def test_a_signature_reads_as_its_source(function: Callable[..., Any]) -> None:
    spec = inspect.getfullargspec(function)._asdict()
    spec["annotations"] = {
        name: note if isinstance(note, str) else inspect.formatannotation(note)
        for name, note in spec["annotations"].items()
    }
    expected = inspect.signature(function)
    parameters = [each for each in expected.parameters.values() if each.name != "self"]
    assert signature("f", spec) == f"f{expected.replace(parameters=parameters)}"


def test_the_empty_list_of_the_reference_server_counts_as_no_defaults() -> None:
    spec = {"args": ["self"], "kwonlyargs": ["x"], "kwonlydefaults": []}
    assert signature("terminate", spec) == "terminate(*, x)"


def test_the_page_of_a_target_is_sorted_and_indented() -> None:
    empty: dict[str, Any] = {"args": ["self"]}
    page = listing({"z": (empty, None), "a": (empty, "First.\n\n    Second.")}, "A driver.")
    assert listing({}, None) == ""
    assert page == "A driver.\n\na()\n    First.\n\n    Second.\nz()"

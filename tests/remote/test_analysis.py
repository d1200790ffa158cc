"""What is sent with a function: each part once, in an order in which it can be made, and whatever is wanted there."""

import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rexec.remote
from rexec.remote import CannotTravel
from rexec.remote._analysis import analyse
from rexec.remote._shipment import Bundle

HELPERS = """
LEVEL = [1]

def level():
    return LEVEL

class Scale:
    factor = LEVEL[0]
"""
PARTS = """
import functools
import logging
import re
from collections import OrderedDict
from fractions import Fraction

import numpy as np

import lab_helpers
import rexec.remote
from lab_helpers import level as height, Scale
from rexec.remote import controller_driver as camera, job

WORD = re.compile("a.", re.S)
logger = logging.getLogger("lab")
HALF = Fraction(1, 2)
TABLE = {"a": 1}
BASE = 2
double = lambda x: len([x]) * BASE * x
PAIR = OrderedDict

def plain(x):
    return x + 1

wrapped = functools.cache(plain)
same = plain

class Strange:
    def __getattr__(self, name):
        if name.startswith("__w"):
            return self
        raise AttributeError(name)

STRANGE = Strange()

def part(x):
    return np, WORD, logger, HALF, TABLE, lab_helpers, PAIR, camera, job, height(), double(x), wrapped(x)

def whole(x):
    job.check()
    more = Scale, same(x), wrapped(x), double(x), wanted_there, __name__
    return part(x), np, WORD, logger, HALF, TABLE, lab_helpers, PAIR, camera, more

def uses_strange():
    return STRANGE

def counting(start):
    def count(n=0):
        return start if n else count(1), helper, height()
    def helper():
        return start, height()
    return count

def closing(start):
    def inner():
        return start
    return inner

@rexec.remote
def marked():
    return plain(1)
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, text in (("lab_helpers", HELPERS), ("lab_parts", PARTS)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("lab_parts")
    del sys.modules["lab_parts"], sys.modules["lab_helpers"]


def names(bundle: Bundle) -> list[str]:
    return [name for name, _, _ in bundle.pieces]


def line(text: str) -> int:
    return PARTS[: PARTS.index(text)].count("\n") + 1


def test_each_part_is_sent_once_after_what_it_uses(parts: Any) -> None:
    shipment = analyse(parts.whole)
    assert (shipment.function, shipment.key) == ("whole", "lab_parts")
    helpers, own = shipment.bundles
    assert [(each.key, each.module, each.file) for each in (helpers, own)] == [
        ("lab_helpers", "lab_helpers", str(sys.modules["lab_helpers"].__file__)),
        ("lab_parts", "lab_parts", str(parts.__file__)),
    ]
    assert sorted(names(helpers)) == ["Scale", "level"]
    assert helpers.values == {"LEVEL": [1]}
    assert sorted(names(own)) == sorted(["WORD", "logger", "double =", "plain", "wrapped =", "part", "whole"])
    for first, then in (
        ("plain", "wrapped ="),
        ("double =", "part"),
        ("wrapped =", "part"),
        ("part", "whole"),
    ):
        assert names(own).index(first) < names(own).index(then), (first, then)
    pieces = {name: (at, text) for name, at, text in own.pieces}
    assert pieces["plain"] == (line("def plain"), "def plain(x):\n    return x + 1\n")
    assert pieces["double ="] == (line("double ="), "double = lambda x: len([x]) * BASE * x\n")
    assert pieces["wrapped ="] == (line("wrapped ="), "wrapped = functools.cache(plain)\n")
    assert pieces["WORD"][0] == pieces["logger"][0] == 1
    space: dict[str, Any] = {"__name__": "there"}
    exec(pieces["WORD"][1] + "\n" + pieces["logger"][1], space)
    assert (space["WORD"], space["logger"].name) == (parts.WORD, "there")
    assert sorted(own.imports, key=str) == sorted(
        [("np", "numpy", None), ("lab_helpers", "lab_helpers", None), ("functools", "functools", None),
         ("PAIR", "collections", "OrderedDict")],
        key=str,
    )  # fmt: skip
    assert own.values == {"HALF": parts.HALF, "TABLE": {"a": 1}, "BASE": 2, "__name__": "lab_parts"}
    assert sorted(own.binds) == [
        ("Scale", "lab_helpers", "Scale"), ("height", "lab_helpers", "level"), ("same", "lab_parts", "plain"),
    ]  # fmt: skip
    assert own.provided == {"camera": "controller_driver", "job": "job", "wanted_there": "wanted_there"}
    assert shipment.modules == [parts.lab_helpers]
    place = f"{parts.__file__}:"
    assert shipment.wanted == {
        "controller_driver": f"{place}{line('def whole') + 3}",
        "wanted_there": f"{place}{line('def whole') + 2}",
    }


def test_functions_of_one_text_are_told_apart_by_what_they_close_over(parts: Any) -> None:
    values = (1, 1, 2, np.arange(2), np.arange(2), np.arange(3))
    keys = [analyse(parts.closing(value)).key for value in values]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4] != keys[5]
    one = analyse(parts.counting(1))
    assert one.key.partition("#")[0] == "lab_parts"
    helpers, inner, outer = one.bundles
    assert [each.module for each in one.bundles] == ["lab_helpers", "lab_parts", "lab_parts"]
    assert [names(each) for each in (helpers, inner, outer)] == [["level"], ["helper"], ["count"]]
    assert inner.values == outer.values == {"start": 1}
    assert inner.binds == [("height", "lab_helpers", "level")]
    assert sorted(outer.binds) == [("height", "lab_helpers", "level"), ("helper", inner.key, "helper")]


def test_a_mark_and_a_cache_are_looked_through(parts: Any) -> None:
    assert analyse(parts.marked).function == parts.marked.__name__ == "marked"
    assert analyse(functools.cache(parts.plain)).bundles == analyse(parts.plain).bundles


def test_what_is_no_def_of_the_user_s_own_is_refused(parts: Any) -> None:
    refused: list[tuple[Any, str]] = [
        (Path, "Path is a class: wrap what it is to do in a def"),
        (functools.partial(parts.plain, 1), "a partial of <function plain .*>: give the function itself"),
        (len, "<built-in function len> is no function written in Python: wrap it in a def"),
        (3, "3 is no function written in Python"),
        (
            parts.Strange().__getattr__,
            rf"lab_parts\.py:{line('def __getattr__')}: Strange\.__getattr__ is a method",
        ),
        ([].append, "is no function written in Python"),
        (functools.wraps, "functools.wraps is of an installed package: call it in a def of your own"),
        (
            parts.uses_strange,
            rf"lab_parts\.py:{line('return STRANGE')}: STRANGE is of type Strange and cannot",
        ),
    ]
    for thing, said in refused:
        with pytest.raises(CannotTravel, match=said):
            analyse(thing)
    assert rexec.remote.remote(parts.plain).rexec_function is parts.plain

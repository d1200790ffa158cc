"""A file that is run to be checked means what it means to Python; its values are found where they were written."""

import ast
from pathlib import Path
from typing import Any

import pytest

from devicedb.model.facts import FileFacts
from devicedb.model.located import Node, decode
from devicedb.sandbox.run import run_file
from devicedb.trace.duplicates import duplicates

LAB = '''"""Devices of the laboratory."""
import copy, pickle
from dataclasses import dataclass
HOST: str = "::1"
PORTS: list[int]
BASE = {"type": "controller", "host": HOST}

@dataclass(frozen=True)
class Crate:
    """The numbers of a crate."""
    __slots__ = ("slot",)
    slot: int

def laser(name: str, *, prefix: str = "run ") -> dict:
    """Return an entry."""
    match name:
        case "red" if prefix:
            kind = "r"
        case _:
            kind = "o"
    return dict(BASE, port=-3, command=f"{prefix}{name:>4}", kind=kind)

device_db = {f"laser{n}": laser("red") for n in range(2)}
device_db["blue"] = laser("blue")
device_db["copied"] = BASE.copy()
device_db["deep"] = copy.deepcopy({"outer": {"inner": HOST + ":1"}})
device_db["merged"] = {**BASE, "host": "h2", "port": 2 + 2}
device_db["pairs"] = {**dict([("k", "v")]), "fixed": True}
device_db["joined"] = BASE | {"port": 0x10}
device_db |= {"added": "alias"}
device_db.update({"updated": "blue"}, named="copied")
device_db.update(iter([("one", "deep"), ("two", "deep")]))
device_db.setdefault("late", "first")
device_db.setdefault("late", "second")
device_db["merged"]["host"] = "h3"
device_db["counted"] = {"n": 1}
device_db["counted"]["n"] += 1
device_db["tuple"] = ("a", ["b", {"c": None}], -2.5)
flags = {1, 2} | {3}
flags |= {4}
device_db["types"] = {"str": type(HOST) is str, "name": type(1.5).__name__, "sum": sum(flags)}
device_db["again"] = pickle.loads(pickle.dumps({"s": HOST, "i": 7, "f": 0.5}))
device_db["kept"] = [copy.copy(each) for each in (HOST, 7, 0.5)] + copy.deepcopy([HOST, 7, 0.5])
device_db["crate"] = {"slot": Crate(5).slot, "big": 10**5000, "set": {1}, "object": print}
'''  # as laboratories write them

WRITTEN = {
    "laser0.type": '"controller"',
    "laser0.host": '"::1"',
    "laser1.port": "-3",
    "laser1.command": 'f"{prefix}{name:>4}"',
    "laser1.kind": '"r"',
    "blue.kind": '"o"',
    "copied": '{"type": "controller", "host": HOST}',
    "copied.host": '"::1"',
    "deep.outer": '{"inner": HOST + ":1"}',
    "deep.outer.inner": 'HOST + ":1"',
    "merged": '{**BASE, "host": "h2", "port": 2 + 2}',
    "merged.type": '"controller"',
    "merged.host": '"h3"',
    "merged.port": "2 + 2",
    "pairs.k": '"v"',
    "pairs.fixed": "True",
    "joined.type": '"controller"',
    "joined.port": "0x10",
    "added": '"alias"',
    "updated": '"blue"',
    "named": '"copied"',
    "one": '"deep"',
    "late": '"first"',
    "counted.n": '{"n": 1}',
    "tuple": '("a", ["b", {"c": None}], -2.5)',
    "tuple.1.1.c": "None",
    "tuple.2": "-2.5",
    "types.str": "type(HOST) is str",
    "types.sum": "sum(flags)",
    "kept.0": '"::1"',
    "kept.1": "7",
    "kept.5": "0.5",
    "crate.slot": "5",
    "crate.set": "{1}",
    "crate.object": "print",
}
"""The text that made each value, by its path."""

KEYS = {
    "laser1": 'f"laser{n}"',
    "blue": '"blue"',
    "merged": '"merged"',
    "added": '"added"',
    "named": 'named="copied"',
    "two": '"two"',
    "late": '"late"',
}
"""The text that made each name."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> FileFacts:
    path = tmp_path_factory.mktemp("lab") / "device_db.py"
    path.write_text(LAB)
    found = run_file(path)
    assert (found.ended, found.error, found.is_traced) == ("finished", None, True)
    return found


@pytest.fixture(scope="module")
def root(facts: FileFacts) -> Node:
    return decode(facts.picture["root"])


def text_at(facts: FileFacts, site: int) -> str:
    place = facts.place(site)
    assert place is not None
    lines = Path(place.file).read_text().splitlines()[place.line - 1 : place.end_line]
    assert len(lines) == 1
    return lines[0].encode()[place.column : place.end_column].decode()


def test_the_instruments_change_no_value(root: Node) -> None:
    names: dict[str, Any] = {"__name__": "device_db"}
    exec(LAB, names)
    plain = names["device_db"]
    crate = plain.pop("crate")
    found = dict(root.value)
    drawn = found.pop("crate")
    assert found == plain
    assert list(found) == list(plain)
    assert drawn["slot"] == crate["slot"]
    assert [drawn[name].type_name for name in ("big", "set", "object")] == [
        "int",
        "set",
        "builtin_function_or_method",
    ]


@pytest.mark.parametrize("path", WRITTEN)
def test_each_value_is_where_it_was_written(path: str, facts: FileFacts, root: Node) -> None:
    steps = [int(step) if step.isdecimal() else step for step in path.split(".")]
    assert text_at(facts, root.at(*steps)) == WRITTEN[path]


@pytest.mark.parametrize("name", KEYS)
def test_each_name_is_where_it_was_written(name: str, facts: FileFacts, root: Node) -> None:
    assert text_at(facts, root.key_at(name)) == KEYS[name]


TWICE = """
device_db = {"a": 1, **{}, "b": {"x": 1, "x": 2}}
device_db["a"] = 1
device_db["b"] = 3
device_db |= {"c": 4, 5: 6}
device_db.update({"c": 7, "d": 8, "d": 8})
device_db.update(c=9)
other.update({"d": 10})
device_db[name] = 11
device_db |= other
print({1: 2, 1: 3})
"""


def test_a_key_that_is_written_twice_is_told_with_both_lines() -> None:
    found = duplicates(ast.parse(TWICE), "device_db.py")
    assert {each["file"] for each in found} == {"device_db.py"}
    told = [(each["kind"], each["key"], each["same"], each["first"], each["place"][0]) for each in found]
    assert sorted(told) == [
        ("literal", "1", False, 11, 11),
        ("literal", "d", True, 6, 6),
        ("literal", "x", False, 2, 2),
        ("reassigned", "b", False, 2, 4),
        ("reassigned", "c", False, 5, 6),
    ]

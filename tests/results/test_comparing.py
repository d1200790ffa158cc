"""What differs between runs, part by part."""

from typing import Any

import pytest

from rexec.results.reading.comparing import Varying, differences, varying

EVERYTHING: dict[str, Any] = {
    "class_name": "Scan",
    "file": "scan.py",
    "artiq_version": "9",
    "person": "alice",
    "host": "lab1",
    "device_db_origin": "device_db.py",
    "simulated": "all",
    "expid": {"arguments": {"n": 1, "text": "a"}},
    "device_db": {"core": {"type": "local", "arguments": {"host": "a"}}, "alias": "core"},
    "git": {"commit": "c1", "branch": "main", "dirty": True, "diff": "a\nb"},
    "sources": {"0123456789abcdef": "x", "fedcba9876543210": "y"},
    "versions": {"python": "3.11"},
}


def found(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, str, str | None, str | None]]:
    return [(each.section, each.name, each.old, each.new) for each in differences(one, other)]


ALL = [
    ("run", "class_name", "Scan"),
    ("run", "file", "scan.py"),
    ("run", "artiq_version", "9"),
    ("run", "person", "alice"),
    ("run", "host", "lab1"),
    ("run", "device_db_origin", "device_db.py"),
    ("run", "simulated", "all"),
    ("argument", "n", "1"),
    ("argument", "text", "a"),
    ("device", "core", "{'type': 'local', 'arguments': {'host': 'a'}}"),
    ("device", "alias", "core"),
    ("code", "git commit", "c1"),
    ("code", "git branch", "main"),
    ("code", "git dirty", "True"),
    ("code", "git diff", "2 lines"),
    ("code", "sources", "0123456789ab, fedcba987654"),
    ("version", "python", "3.11"),
]


def test_a_run_of_which_nothing_is_known_lacks_everything() -> None:
    assert found(EVERYTHING, {}) == [(*each, None) for each in ALL]
    assert found({}, EVERYTHING) == [(section, name, None, text) for section, name, text in ALL]
    assert found(EVERYTHING, EVERYTHING) == found({}, {}) == []


@pytest.mark.parametrize(
    "empty", [{"expid": None}, {"expid": {"arguments": [1]}}, {"git": None}, {"git": {"diff": ""}}]
)
def test_what_is_empty_is_as_if_it_were_not_there(empty: dict[str, Any]) -> None:
    assert found(empty, {}) == []


def test_values_are_compared_with_their_kind_and_devices_by_field() -> None:
    one = {"device_db": {"core": {"type": "local", "port": 1}}, "expid": {"arguments": {"n": 1}}}
    other = {"device_db": {"core": {"type": "local", "port": 2}}, "expid": {"arguments": {"n": 1.0}}}
    assert found(one, other) == [("argument", "n", "1", "1.0"), ("device", "core.port", "1", "2")]


def test_what_varies_is_named_once_with_its_value_in_each_run() -> None:
    runs = [{"expid": {"arguments": {"n": n, "same": 0}}} for n in (1, 2, 1, 3)]
    runs[3]["expid"]["arguments"] |= {"new": 5}
    assert varying(runs) == [
        Varying("argument", "n", ("1", "2", "1", "3")),
        Varying("argument", "new", (None, None, None, "5")),
    ]
    assert varying(runs[:1]) == []
    assert len({*varying(runs), *varying(runs)}) == 2  # facts
    assert len(set(differences(*runs[:2]))) == 1

"""The bad example of each rule is found, the good one is not: the examples of the documentation are these."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import CONSTRUCT_RULE, Subject, check_file, examine, hits_of
from devicedb.check.finding import Report
from devicedb.model.database import CheckedDatabase
from devicedb.model.located import from_plain
from devicedb.model.rule import Rule, Severity
from devicedb.rules import RULES, file, names, registry
from devicedb.rules.examples import write

FOUND = [rule for rule in RULES.values() if rule.code != CONSTRUCT_RULE]
"""The other one needs ARTIQ: test_construct.py."""


def check(example: str, folder: Path) -> Report:
    path = write(example, folder)
    experiments = (str(folder / "experiments"),) if (folder / "experiments").exists() else ()
    static = "made()" in example
    time_limit = 2 if "while True" in example else 60
    settings = Settings(experiments=experiments, static=static, time_limit=time_limit, artiq_release="9")
    return check_file(Subject(path, "device_db.py"), settings)


@pytest.mark.parametrize("rule", FOUND, ids=lambda rule: rule.code)
def test_the_bad_example_is_found(rule: Rule, tmp_path: Path) -> None:
    found = [each for each in check(rule.bad, tmp_path).findings if each.code == rule.code]
    assert found
    assert all(each.severity is rule.severity for each in found)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_good_example_is_left_alone(rule: Rule, tmp_path: Path) -> None:
    found = check(rule.good, tmp_path).findings
    assert not [each for each in found if each.code == rule.code or each.severity is not Severity.INFO]


KINDS = {"local", "controller", "controller_aux_target", "dummy"}
SPEAKS_OF: dict[str, set[str]] = {
    "DDB102": KINDS,
    "DDB106": KINDS - {"dummy"},
    "DDB114": {"controller"},
    "DDB116": set(),  # it names no entry
    "DDB202": set(),
    "DDB203": set(),
    "DDB307": {"controller", "controller_aux_target"},
    "DDB418": KINDS - {"controller"},
    "DDB701": {"controller", "controller_aux_target"},
    "DDB702": KINDS,
}
"""Kinds of entries of which a rule speaks, if it is not only that of its bad example."""


@pytest.mark.parametrize("code", [each.code for each in FOUND if each.entry is not None])
def test_a_rule_speaks_of_entries_of_its_kinds_only(code: str, tmp_path: Path) -> None:
    path = write(RULES[code].bad, tmp_path)
    settings = Settings(artiq_release="9", select=(code,), time_limit=60)
    db = examine(Subject(path, "device_db.py"), settings).database
    assert db is not None
    raw = {name: entry.raw for name, entry in db.entries.items()}
    own, spoken = set(), set()
    for name in {hit.entry for _, hit in hits_of(db, settings)} & raw.keys():
        own.add(db.entries[name].kind)
        for kind in KINDS:
            entry = raw[name] if isinstance(raw[name], dict) else {}
            changed = replace(db, root=from_plain(raw | {name: entry | {"type": kind}}))
            if any(hit.entry == name for _, hit in hits_of(changed, settings)):
                spoken.add(kind)
    assert spoken == SPEAKS_OF.get(code, own & KINDS)


def test_a_rule_is_still_the_function_that_it_was_and_has_a_code_of_its_own() -> None:
    assert RULES["DDB010"].file is file.prints
    assert RULES["DDB102"].entry is names.awkward_name
    assert all(callable(each.database or each.entry or each.file) for each in RULES.values())
    again = registry.file_rule("DDB010", Severity.INFO, "", why="", bad="", good="")
    with pytest.raises(ValueError, match="two rules with the code DDB010"):
        again(file.prints)


def test_every_rule_of_the_database_is_the_function_that_it_was() -> None:
    for rule in RULES.values():
        if rule.database is not None:
            module = importlib.import_module(rule.database.__module__)
            assert getattr(module, rule.database.__name__) is rule.database


CONTROLLER = {
    "type": "controller",
    "host": "::1",
    "port": 6283,
    "target_name": "camera",
    "command": "c -p {port}",
}
BEHIND = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}


@pytest.mark.parametrize(
    ("pings", "seconds"),
    [
        ({}, "60"),
        ({"ping_timer": 5}, "35"),
        ({"ping_timeout": 89.5}, "119.5"),
        ({"ping_timer": 60, "ping_timeout": 60}, None),
        ({"ping_timer": 1, "ping_timeout": 1, "command": None}, None),
        ({"ping_timer": True}, None),
        ({"ping_timeout": "5"}, None),
    ],
)
def test_pings_that_end_a_controller_within_two_minutes_are_told(
    pings: dict[str, Any], seconds: str | None
) -> None:
    raw = {"camera": CONTROLLER | pings, "rexec": BEHIND}
    hits = RULES["DDB411"].database(CheckedDatabase(from_plain(raw)))  # type: ignore[misc]
    assert [hit.message.split(" on ")[0] for hit in hits] == (
        [f"a remote call over {seconds} s"] if seconds else []
    )


@pytest.mark.parametrize(("name", "line"), [("ping_timer", 2), ("ping_timeout", 3)])
def test_an_impatient_ping_is_at_the_time_that_was_given(name: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    times = {"ping_timer": '"ping_timer": 3,\n', "ping_timeout": '\n"ping_timeout": 4,'}
    text = f"camera = {json.dumps(CONTROLLER)[:-1]},\n{times[name]}}}\n"
    path.write_text(f'{text}device_db = {{"camera": camera, "rexec": {BEHIND!r}}}\n', encoding="utf-8")
    found = check_file(Subject(path, "device_db.py"), Settings(artiq_release="9")).findings
    assert [each.line for each in found if each.code == "DDB411"] == [line]

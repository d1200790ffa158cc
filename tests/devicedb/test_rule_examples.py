"""The bad example of each rule is found, the good one is not: the examples of the documentation are these."""

import json
from pathlib import Path
from typing import Any

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import CONSTRUCT_RULE, Subject, check_file
from devicedb.check.finding import Report
from devicedb.model.database import CheckedDatabase
from devicedb.model.located import from_plain
from devicedb.model.rule import Rule, Severity
from devicedb.rules import RULES
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

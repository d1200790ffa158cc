"""The bad example of each rule is found, the good one is not: the examples of the documentation are these."""

from pathlib import Path

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import CONSTRUCT_RULE, Subject, check_file
from devicedb.check.finding import Report
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

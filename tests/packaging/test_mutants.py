"""The mutation campaign, on a module whose mutants are known."""

import argparse
import collections
import os
import tomllib
from pathlib import Path

import pytest

if not hasattr(os, "fork"):
    pytest.skip("the campaign forks a process for each mutant", allow_module_level=True)

from tests.campaigns.mutants import EXCUSES, ROOT, campaign, report
from tests.campaigns.mutants_made import mutants, sample
from tests.campaigns.mutants_tests import Record, in_child

MODULE = """
import subprocess
import sys

LIMIT = 3

def is_over(number: int) -> bool:
    return number > 3

def in_a_child(number: int) -> int:
    code = f"import rexec.planted as t; print(t.twice({number}))"
    return int(subprocess.check_output([sys.executable, "-c", code]))

def twice(number: int) -> int:
    return number * 2

def nobody_calls_this() -> bool:
    return not sys
"""
BESIDE = """
from rexec import planted

def limit() -> int:
    return planted.LIMIT
"""
OWN = """
import sys
import threading
from rexec import beside, planted

def test_beside():
    assert beside.limit() == 3
    sys.settrace(None)
    threading.settrace(None)

def test_over():
    assert planted.is_over(5) and not planted.is_over(1)

def test_child():
    assert planted.in_a_child(4) == 8

def test_that_fails_anyway():
    assert planted.twice(1) == 3
"""
BEYOND = """
from rexec import planted

def test_at_the_limit():
    assert not planted.is_over(3)
"""
HANGS = """
import time

def test_that_hangs():
    time.sleep(3600)
"""


def plant(root: Path, **tests: str) -> Path:
    files = {
        "pyproject.toml": "",
        "rexec/__init__.py": "",
        "rexec/planted.py": MODULE,
        "rexec/beside.py": BESIDE,
        "tests/__init__.py": "",
    }
    for name, text in tests.items():
        files |= {f"tests/{name}/__init__.py": "", f"tests/{name}/test_it.py": text}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_each_mutant_is_killed_by_whom_it_must(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = plant(tmp_path / "tree", planted=OWN, other=BEYOND)
    options = argparse.Namespace(
        sample=None, seed="1", jobs=1, suite=True, budget=600.0, patience=60.0, records=tmp_path / "records"
    )
    verdicts = list(campaign(root, ["rexec.planted"], options))
    ends = {
        (each.mutant.operator, each.mutant.was): (each.by, each.test.rpartition("::")[2]) for each in verdicts
    }
    over, child = "return number > 3", 'return int(subprocess.check_output([sys.executable, "-c", code]))'
    assert ends == {
        ("compare", over): ("suite", "test_at_the_limit"),
        ("constant", "LIMIT = 3"): ("own", "test_beside"),
        ("constant", over): ("survived", "2 tests run"),
        ("return", over): ("own", "test_over"),
        ("return", child): ("own", "test_child"),
        ("arithmetic", "return number * 2"): ("own", "test_child"),
        ("constant", "return number * 2"): ("own", "test_child"),
        ("return", "return number * 2"): ("own", "test_child"),
        ("negate", "return not sys"): ("survived", "3 tests run"),
        ("return", "return not sys"): ("survived", "3 tests run"),
    }
    capsys.readouterr()
    assert report(verdicts) == 6 / 10
    said = capsys.readouterr().out
    assert "  - return not sys\n  + return (sys)\n" in said
    assert (root / "rexec" / "planted.py").read_text() == MODULE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_for_what_an_import_executes_the_quickest_tests_of_the_module_are_first() -> None:
    lines = {"m.py": {"1": ["", "slow"], "5": ["quick"]}}
    known = Record({"slow": 9.0, "quick": 1.0, "other": 0.1, "later": 0.2}, lines)
    assert known.tests("m.py", 1, 1) == ["quick", "slow", "other", "later"]
    assert known.tests("m.py", 5, 5) == ["quick"]


def test_a_test_that_hangs_is_ended(tmp_path: Path) -> None:
    assert in_child(plant(tmp_path / "tree", planted=HANGS), ["tests/planted"], 3) == ({}, ["(hung)"])


def test_every_operator_makes_its_faults_and_no_other() -> None:
    text = """
T = typing.TypeVar("T", covariant=True)
if sys.platform == "win32":
    f(1 + 1)
else:
    g(1)
@lru_cache(maxsize=8)
async def f(a, lock, *, key=0):
    with lock:
        a.x = key
    for each in a:
        break
    await asyncio.shield(a)
    del a[0]
    g(a, key=True)
    if a and not key < 5:
        log.debug("text")
        raise ValueError(f"{a + 1}")
"""
    assert [(each.operator, each.became) for each in mutants(text)] == [
        ("constant", "g((2))"),
        ("delete", "pass"),
        ("constant", "async def f(a, lock, *, key=(1)):"),
        ("with", "with __import__('contextlib').nullcontext():"),
        ("delete", "pass"),
        ("loop", "continue"),
        ("delete", "pass"),
        ("unshield", "await (a)"),
        ("constant", "del a[(1)]"),
        ("delete", "pass"),
        ("constant", "g(a, key=(False))"),
        ("delete", "pass"),
        ("drop key", "(g(a))"),
        ("boolean", "if (a or not key < 5):"),
        ("compare", "if a and not (key <= 5):"),
        ("constant", "if a and not key < (6):"),
        ("negate", "if (not (a and (not key < 5))):"),
        ("negate", "if a and (key < 5):"),
        ("delete", "pass"),
    ]


def test_a_larger_sample_has_those_of_a_smaller_one() -> None:
    text = "\n".join(f"x = y == {number}" for number in range(20))
    assert sample(text, 30, "1:m")[:10] == sample(text, 10, "1:m") != sample(text, 10, "2:m")


def test_every_excuse_is_of_a_mutant_that_there_is() -> None:
    excused = collections.defaultdict(set)
    for each in tomllib.loads(EXCUSES.read_text(encoding="utf-8"))["excuse"]:
        assert each["why"]
        excused[each["module"]].add((each["was"], each["became"]))
    for module, excuses in excused.items():
        made = mutants((ROOT / module).read_text(encoding="utf-8"), of={was for was, _ in excuses})
        assert excuses <= {(mutant.was, mutant.became) for mutant in made}

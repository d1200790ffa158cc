"""The mutation campaign, on a module whose mutants are known."""

import argparse
import os
from pathlib import Path

import pytest

from tests.campaigns.mutants import campaign

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")

MODULE = '''
import contextlib
import subprocess
import sys

LIMIT = 3


def is_over(number: int) -> bool:
    """Whether a number is beyond the limit."""
    return number > LIMIT


def in_a_child(number: int) -> int:
    return int(subprocess.run([sys.executable, "-c", f"import rexec.planted.thing as t; print(t.twice({number}))"],
        check=True, capture_output=True).stdout)


def twice(number: int) -> int:
    return number * 2


def turns() -> int:
    done = 0
    while done < 2:
        done += 1
    return done


def nobody_calls_this() -> bool:
    return not LIMIT
'''
TESTS = """
import rexec.planted.thing as thing

def test_over():
    assert thing.is_over(5) and not thing.is_over(1)

def test_child():
    assert thing.in_a_child(4) == 8

def test_turns():
    assert thing.turns() == 2

def test_that_fails_anyway():
    assert thing.twice(1) == 3
"""
BEYOND = """
import rexec.planted.thing as thing

def test_at_the_limit():
    assert not thing.is_over(3)
"""


def plant(root: Path) -> None:
    for name, text in {
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib']\n",
        "rexec/__init__.py": "",
        "rexec/planted/__init__.py": "",
        "rexec/planted/thing.py": MODULE,
        "tests/__init__.py": "",
        "tests/planted/__init__.py": "",
        "tests/planted/test_thing.py": TESTS,
        "tests/other/__init__.py": "",
        "tests/other/test_limit.py": BEYOND,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_each_mutant_is_killed_by_whom_it_must(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path / "tree")
    options = argparse.Namespace(
        sample=None, seed="1", jobs=1, suite=True, budget=60.0, patience=1.0, records=tmp_path / "records"
    )
    verdicts = list(campaign(tmp_path / "tree", ["rexec.planted"], options))
    found = {
        (each.mutant.operator, each.mutant.was): (each.by, each.test.rpartition("::")[2]) for each in verdicts
    }
    print(found)
    assert found["compare", "return number > LIMIT"] == ("suite", "test_at_the_limit")
    assert found["arithmetic", "return number * 2"] == ("own", "test_child")
    assert found["delete", "done += 1"] == ("own", "(hung)")
    assert found["negate", "return not LIMIT"][0] == "survived"

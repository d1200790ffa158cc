"""`pytest --device-db FILE`: each rule is a test."""

import subprocess
import sys

import pytest

from devicedb.rules import RULES

pytest_plugins = ["pytester"]

BROKEN = """device_db = {
    "camera": {"type": "controller", "host": "::1", "port": 70000},
    "odd": {"type": "controller", "host": "::1", "port": "3286"},
}
"""
WITHOUT_EXPERIMENTS = [code for code in RULES if not code.startswith("DDB6")]


def run(pytester: pytest.Pytester, *argv: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", *argv)


def test_a_rule_that_finds_something_fails_with_file_and_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(device_db=BROKEN)
    result = run(pytester, "--device-db", "device_db.py", "-v")
    result.assert_outcomes(passed=len(WITHOUT_EXPERIMENTS) - 1, failed=1)
    result.stdout.fnmatch_lines(
        ["device_db.py::DDB109 FAILED*", "device_db.py:2:61: error DDB109 *", "2 |*70000*", "*^^^^^*"]
    )
    assert "Traceback" not in result.stdout.str()


def test_settings_choose_the_rules_and_what_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(device_db=BROKEN)
    pytester.makepyprojecttoml('[tool.devicedb]\nselect = ["DDB110"]\nfail-on = "warning"\n')
    result = run(pytester, "--device-db", "device_db.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["device_db.py:3:*: warning DDB110 *"])
    pytester.makepyprojecttoml('[tool.devicedb]\nselect = ["DDB110"]\n')
    result = run(pytester, "--device-db", "device_db.py", "-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["device_db.py:3:*: warning DDB110 *"])


def test_several_databases_beside_tests_and_k(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        device_db=BROKEN, other_db="device_db = {}", test_plain="def test_plain(): pass\ndef test_b(): pass"
    )
    argv = (".", "--device-db", "device_db.py", "--device-db", "other_db.py", "-k", "DDB109 or test_b")
    result = run(pytester, *argv)
    result.assert_outcomes(passed=2, failed=1, deselected=2 * len(WITHOUT_EXPERIMENTS) - 1)
    result.stdout.fnmatch_lines([f"collected {2 * len(WITHOUT_EXPERIMENTS) + 2} items / * / 3 selected"])


def test_experiments_are_matched_where_the_settings_name_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(device_db="device_db = {}")
    pytester.mkdir("lab").joinpath("e.py").write_text(
        "class E(EnvExperiment):\n    def build(self):\n        self.setattr_device('camera')\n"
    )
    pytester.makepyprojecttoml('[tool.devicedb]\nexperiments = ["lab"]\n')
    result = run(pytester, "--device-db", "device_db.py")
    result.assert_outcomes(passed=len(RULES) - 1, failed=1)
    result.stdout.fnmatch_lines(["lab/e.py:3:*: error DDB601 *'camera'*"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [("", "--device-db nowhere.py: there is no such file"), ("ignroe = []", "*Did you mean 'ignore'?")],
)
def test_what_cannot_be_checked_is_one_line(pytester: pytest.Pytester, settings: str, said: str) -> None:
    if settings:
        pytester.makepyfile(nowhere="device_db = {}")
        pytester.makepyprojecttoml(f"[tool.devicedb]\n{settings}\n")
    result = run(pytester, "--device-db", "nowhere.py")
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


def test_without_the_option_nothing_of_the_check_is_loaded() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import devicedb.pytest_plugin; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}), "
        "any(name.startswith(('devicedb.check', 'devicedb.rules')) for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=True
    )
    for heavy in ("pydantic", "rich", "schemas", "numpy"):
        assert heavy not in done.stdout
    assert done.stdout.endswith("False\n")


def test_scripts_of_the_laboratory_are_not_collected_unless_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(device_db="device_db = {}\n", test_stage="raise SystemExit('moves the stage')\n")
    run(pytester, "--device-db", "device_db.py").assert_outcomes(passed=len(WITHOUT_EXPERIMENTS))
    result = run(pytester, "--device-db", "device_db.py", "test_stage.py")
    assert "moves the stage" in result.stdout.str() + result.stderr.str()

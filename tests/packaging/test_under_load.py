"""The campaign that runs the suite under load tells what failed, how often, and starts it as a background job is."""

import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the campaign is for users and signals of POSIX"
)

SUITE = """
import signal, pytest
def test_signals_are_ignored():
    assert {signal.getsignal(each) for each in (signal.SIGINT, signal.SIGHUP)} == {signal.SIG_IGN}
def test_two_are_three():
    assert 2 == 3, "two are not three"
@pytest.mark.skip(reason="never")
def test_never(): ...
"""


def test_each_failure_is_told_at_once_and_with_its_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.campaigns.under_load import busy, run_once, table

    (tmp_path / "test_it.py").write_text(SUITE)
    further = {"env": {**os.environ, "TMPDIR": str(tmp_path)}}
    with busy(1):
        run = run_once(tmp_path, sys.executable, further, ["-n", "0"])
    assert run.counts == {"passed": 1, "failed": 1, "skipped": 1}
    first, second, *_ = said = capsys.readouterr().out.splitlines()
    assert first == "30 %"
    assert re.match(r"test_it\.py::test_two_are_three FAILED +\[ 66%\]$", second)
    assert any(re.search("1 failed, 1 passed, 1 skipped in", line) for line in said)
    *_, last = table([run, run])
    assert last == "failed in 2 of 2: test_it.py::test_two_are_three: AssertionError: two are not three"


def test_the_name_of_a_test_is_no_failure() -> None:
    from tests.campaigns.under_load import told

    failed = ["[gw1] [ 89%] FAILED test_it.py::test_it\n", "ERROR test_it.py - ImportError\n"]
    assert list(told(["[gw0] [ 88%] PASSED test_it.py::test_it[a: ERROR :b]\n", *failed])) == [
        "80 %\n",
        *failed,
    ]

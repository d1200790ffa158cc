"""Runs that are killed on file systems without hard links, blind to case, or slow lose nothing acknowledged."""

import subprocess
import sys

import pytest

from tests.campaigns.odd_file_system import KINDS, missing


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize("kind", KINDS)
def test_killed_runs_lose_nothing_there(kind: str) -> None:
    words = [
        "tests.campaigns.odd_file_system",
        kind,
        "tests.campaigns.results_faults",
        "kill9",
        "--count",
        "3",
    ]
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "     0  failed, of 3 rounds" in done.stdout

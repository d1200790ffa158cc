"""No text of strangers controls a terminal or forges a line, whatever command shows it (a sample of the campaign)."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def test_no_command_obeys_the_text_of_strangers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.hostile", "--sample"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""No text of strangers controls a terminal or forges a line, whatever command shows it (a sample of the campaign)."""

import contextlib
import importlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns.hostile import PROGRAMS, uses

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def commands_of(*words: str) -> set[str]:
    """Return the commands that the help of a program, or of a command with commands, lists."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        importlib.import_module(f"{words[0]}.cli.main").main([*words[1:], "--help"])
    listed = re.search(r"^(?:commands:|  (?:COMMAND|ACTION))\n((?: +.*\n)+)", said.getvalue(), re.MULTILINE)
    indent = r" {2}(?! )" if len(words) == 1 else r" {4}(?! )"
    return set() if listed is None else set(re.findall(rf"^{indent}(\S+)", listed[1], re.MULTILINE))


def test_every_command_of_the_help_is_tried() -> None:
    found = set()
    for program in PROGRAMS:
        for command in commands_of(program):
            nested = commands_of(program, command)
            found |= {f"{program} {command} {each}" for each in nested} or {f"{program} {command}"}
    assert len(found) > 30
    assert found == {each.command for each in uses()} == {each.command for each in uses(is_sample=True)}


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

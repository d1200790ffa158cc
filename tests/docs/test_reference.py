"""The reference leaves no command out."""

from pathlib import Path

import pytest

from devicedb.cli.main import SUBCOMMANDS as DEVICEDB
from rexec.cli.main import SUBCOMMANDS as REXEC

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/cli.md"


@pytest.mark.parametrize(
    "command", [*(f"devicedb {name}" for name in DEVICEDB), *(f"rexec {name}" for name in REXEC)]
)
def test_the_command_is_in_the_reference(command: str) -> None:
    program, name = command.split()
    text = PAGE.read_text(encoding="utf-8")
    assert f"### {command}\n" in text
    assert f":module: {program}.cli.{name}\n" in text

"""The files for CI services are those of the page about them, and the checks in them are run as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.documents import blocks

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = sorted((ROOT / "examples" / "ci").glob("*.yml"))
PAGE: Final = ROOT / "docs" / "how-to" / "check-in-ci.md"
HOOKS: Final = ROOT / ".pre-commit-hooks.yaml"


def checked(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a `devicedb` command in a folder that has a device database with one mistake."""
    (folder / "repository").mkdir()
    (folder / "device_db.py").write_text('device_db = {"rexec": "camera_rexec"}\n')
    program, *arguments = shlex.split(command)
    return subprocess.run(
        [sys.executable, "-P", "-m", program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
    )


def strings(value: Any) -> list[str]:
    """Return the strings in a value of YAML."""
    if isinstance(value, dict):
        value = list(value.values())
    return [part for each in value for part in strings(each)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.stem)
def test_a_service_runs_the_check_and_fails_on_a_mistake(file: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    (command,) = [
        each for each in strings(yaml.safe_load(file.read_text())) if each.startswith("devicedb check")
    ]
    done = checked(command, tmp_path)
    assert done.returncode == 1
    output = re.search(r"--output (\S+)", command)
    report = (tmp_path / output[1]).read_text() if output else done.stdout
    assert "DDB201" in report


def test_the_page_shows_these_files() -> None:
    shown = [block.text for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "yaml"]
    assert [file.read_text(encoding="utf-8") for file in SERVICES] == shown[: len(SERVICES)]


def test_the_hook_checks_device_databases(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    (hook,) = yaml.safe_load(HOOKS.read_text())
    for changed in ("lab/device_db.py", "device_db_left.py", "lab_ports.py", "repository/scan.py"):
        assert re.search(hook["files"], changed)
    assert not hook["pass_filenames"]
    assert hook["id"] in PAGE.read_text(encoding="utf-8")
    done = checked(f"{hook['entry']} {' '.join(hook['args'])}", tmp_path)
    assert (done.returncode, "DDB201" in done.stdout) == (1, True)

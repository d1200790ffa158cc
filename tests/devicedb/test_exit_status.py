"""What a status tells of the end of a process."""

import subprocess
import sys

import pytest

from devicedb.exit_status import killer, was_killed


def test_a_crash_is_told_with_its_name() -> None:
    crash = "import msvcrt; msvcrt.SetErrorMode(2); " if sys.platform == "win32" else ""
    crash += "import faulthandler; faulthandler._read_null()"
    status = subprocess.run([sys.executable, "-c", crash], check=False).returncode
    assert was_killed(status)
    assert killer(status) == ("access violation" if sys.platform == "win32" else "SIGSEGV")


@pytest.mark.parametrize(
    ("status", "name"), [(0xC00000FD, "stack overflow"), (0xC0000006, "exception 0xC0000006")]
)
def test_statuses_of_windows_have_names(monkeypatch: pytest.MonkeyPatch, status: int, name: str) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert was_killed(status)
    assert killer(status) == name


def test_what_ended_by_itself_was_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(was_killed(status) for status in (0, 1, 255))
    monkeypatch.setattr(sys, "platform", "win32")
    assert not any(was_killed(status) for status in (0, 1, 255, 0x40010004))

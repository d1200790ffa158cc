"""`rexec doctor`, the real program."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.serving import free_port, serving


class Lamp:
    def ping(self) -> bool:
        return True


def doctor(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "rexec", "doctor", "--timeout", "5", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=40,
    )


def write(folder: Path, port: int, dead: int) -> None:
    base = {"type": "controller", "host": "127.0.0.1", "target_name": "lamp"}
    raw = {"lamp": {**base, "port": port}, "dead": {**base, "port": dead}, "light": "lamp"}
    (folder / "device_db.py").write_text(f"device_db = {raw!r}\n")


def test_formats_and_exit_status(tmp_path: Path) -> None:
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        done = doctor(tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        assert "refused" in done.stdout
        found = json.loads(doctor(tmp_path, "--format", "json").stdout)
        assert {each["name"]: (each["cause"], each["severity"]) for each in found} == {
            "lamp": ("ok", "ok"),
            "dead": ("refused", "error"),
        }
        suite = ElementTree.fromstring(doctor(tmp_path, "--format", "junit").stdout)
        assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
        assert doctor(tmp_path, "light").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"), [("x = 1\n", "has no function check_"), ("1 / 0\n", "raised ZeroDivisionError")]
)
def test_own_checks_and_what_is_wrong_with_them(tmp_path: Path, text: str, said: str) -> None:
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        (tmp_path / "checks.py").write_text(
            "def check_warm(endpoint, client):\n    assert client.ping() == 2, 'cold'\n"
        )
        done = doctor(tmp_path, "lamp", "--checks", "checks.py", "--format", "json")
        assert done.returncode == 1
        assert json.loads(done.stdout)[0]["message"] == "check_warm: AssertionError: cold"
        (tmp_path / "checks.py").write_text(text)
        done = doctor(tmp_path, "lamp", "--checks", "checks.py")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_an_unknown_name_is_said(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    done = doctor(tmp_path, "lampe")
    assert done.returncode == 2
    assert "Did you mean 'lamp'?" in done.stderr

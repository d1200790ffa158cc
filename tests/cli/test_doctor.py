"""`rexec doctor`, the real program."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rexec.cli.doctor import main, print_table
from rexec.doctor import Diagnosis
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
        timeout=150,
    )


def write(folder: Path, port: int, dead: int) -> None:
    base = {"type": "controller", "host": "127.0.0.1", "target_name": "lamp"}
    raw = {"lamp": {**base, "port": port}, "dead": {**base, "port": dead}, "light": "lamp"}
    (folder / "device_db.py").write_text(f"device_db = {raw!r}\n")


def test_the_program_says_what_it_found_and_fails(tmp_path: Path) -> None:
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        done = doctor(tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "refused" in done.stdout


def test_the_finding_stands_below_its_device_where_the_terminal_is_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "no process listens there. Start it with: aqctl_lamp -p 3290"
    findings = [
        Diagnosis(name="lamp", address="[::1]:3290", target="lamp", cause="ok", message="", milliseconds=0.4),
        Diagnosis(name="lamp_of_the_other_table", address="[::1]:3291", cause="refused", message=reason),
    ]
    monkeypatch.setenv("COLUMNS", "80")
    print_table(findings)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["device", "address", "cause", "target", "round", "trip"]
    assert lines[1].split() == ["lamp", "[::1]:3290", "ok", "lamp", "0.4", "ms"]
    assert lines[-2].split() == ["lamp_of_the_other_table", "[::1]:3291", "refused"]
    assert lines[-1] == f"    {reason}"
    monkeypatch.setenv("COLUMNS", "50")
    print_table(findings)
    narrow = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert narrow[0].split() == ["device", "address", "cause"]
    assert narrow[1].split() == ["lamp", "[::1]:3290", "ok"]
    assert max(map(len, narrow)) <= 50
    monkeypatch.delenv("COLUMNS")
    print_table(findings)
    heading, *_, last = capsys.readouterr().out.splitlines()
    assert last.index(reason) == heading.index("finding")  # a pipe: one line a device
    monkeypatch.setenv("COLUMNS", "150")
    print_table(findings)
    heading, *_, last = capsys.readouterr().out.splitlines()
    assert heading.split()[-1] == "finding"
    assert last.index(reason) == heading.index("finding")


def test_formats_and_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        assert main(["--format", "json"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert {each["name"]: (each["cause"], each["severity"]) for each in found} == {
            "lamp": ("ok", "ok"),
            "dead": ("refused", "error"),
        }
        assert main(["--format", "junit"]) == 1
        suite = ElementTree.fromstring(capsys.readouterr().out)
        assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
        assert main(["light"]) == 0


def test_warnings_fail_only_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving({"lamp": object()}) as port:
        write(tmp_path, port, free_port())
        assert main(["lamp"]) == 0
        assert "ping-missing" in capsys.readouterr().out
        assert main(["lamp", "--strict"]) == 1


def test_junit_is_xml_whatever_a_check_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        text = "def check_it(endpoint, client):\n    raise ValueError('\\x00 <bus> \\ud800 & \\x1b[31m')\n"
        (tmp_path / "checks.py").write_text(text)
        assert main(["lamp", "--checks", "checks.py", "--format", "junit"]) == 1
    failure = ElementTree.fromstring(capsys.readouterr().out).find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "check_it: ValueError: \\x00 <bus> \\ud800 & \\x1b[31m"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"x = 1\n", "no function check_"),
        (b"1 / 0\n", "raised ZeroDivisionError"),
        ("x = 1\n".encode("utf-16"), "it is UTF-16 text; save it as UTF-8"),
    ],
)
def test_own_checks_and_what_is_wrong_with_them(tmp_path: Path, text: bytes, said: str) -> None:
    with serving({"lamp": Lamp()}) as port:
        write(tmp_path, port, free_port())
        (tmp_path / "checks.py").write_text(
            "def check_warm(endpoint, client):\n    assert client.ping() == 2, 'cold'\n"
        )
        done = doctor(tmp_path, "lamp", "--checks", "checks.py", "--format", "json")
        assert done.returncode == 1
        assert json.loads(done.stdout)[0]["message"] == "check_warm: AssertionError: cold"
        (tmp_path / "checks.py").write_bytes(text)
        done = doctor(tmp_path, "lamp", "--checks", "checks.py")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_an_unknown_name_is_said(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    done = doctor(tmp_path, "lampe")
    assert done.returncode == 2
    assert "Did you mean 'lamp'?" in done.stderr

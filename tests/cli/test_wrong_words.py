"""Wrong options, files and addresses: one line that says which, the documented status, and nothing begun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devicedb.cli.main import SUBCOMMANDS as DEVICEDB
from devicedb.cli.main import main as devicedb
from rexec.cli.main import SUBCOMMANDS as REXEC
from rexec.cli.main import main as rexec

CONTROLLER = {"type": "controller", "host": "127.0.0.1", "port": 1, "target_name": "camera"}
EXPERIMENT = (
    "from rexec.experiment import *\nclass X(EnvExperiment):\n    def run(self):\n        print('it ran')\n"
)


@pytest.fixture(autouse=True)
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a device database, an experiment, and a file in another encoding."""
    (tmp_path / "device_db.py").write_text(f"device_db = {{'camera': {CONTROLLER!r}}}\n")
    (tmp_path / "empty.py").write_text("device_db = {}\n")
    (tmp_path / "x.py").write_text(EXPERIMENT)
    (tmp_path / "latin1.py").write_bytes("device_db = {'µ': 1}\n".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "says"),
    [
        # the program itself
        ("rexec", "a command is missing; one of run, up, doctor"),
        ("rexec cal", "Did you mean 'call'?"),
        ("devicedb", "a command is missing; one of check, diff"),
        ("devicedb chek", "Did you mean 'check'?"),
        ("devicedb --print-completion ksh", "choose from bash, zsh, tcsh"),
        ("rexec run --devicedb x.py y.py", "Did you mean '--device-db'?"),
        ("rexec run", "the following arguments are required: FILE. "),
        ("rexec results shw", "Did you mean 'show'?"),
        ("rexec doctor --format jsn", "Did you mean 'json'?"),
        # numbers
        ("rexec run x.py --master-port 99999", "'99999' is not a TCP port (1 to 65535)"),
        ("rexec run x.py --master-port x", "'x' is not a TCP port (1 to 65535)"),
        ("rexec run x.py --serve --port-notify 99999", "'99999' is not a TCP port (0 to 65535)"),
        ("rexec run x.py --connect-timeout nan", "'nan' is no number above 0"),
        ("rexec run x.py --up-timeout 0", "'0' is no number above 0"),
        ("rexec up --port-control 99999", "'99999' is not a TCP port (0 to 65535)"),
        ("rexec up --busy-limit x", "'x' is no number above 0"),
        ("rexec doctor --timeout -1", "--timeout"),
        ("rexec simulate --loopback --port-control -1", "--port-control"),
        ("rexec record camera -o r --port 99999", "'99999' is not a TCP port (0 to 65535)"),
        ("rexec bridge --master localhost --master-port-notify 0", "'0' is not a TCP port (1 to 65535)"),
        ("rexec bridge --master localhost --refresh 1e12", "'1e12' is no number above 0"),
        ("rexec master --backlog nan", "'nan' is no number above 0"),
        ("devicedb check --time-limit nan", "time-limit must be a number of seconds"),
        # options that would have no effect
        ("rexec run x.py --fault camera:delay=1", "--fault: only with --simulate"),
        ("rexec run x.py --behaviours b.py --timing", "--behaviours, --timing: only with --simulate"),
        ("rexec run x.py --overwrite", "--overwrite: only with -o FILE"),
        ("rexec web --audit a.jsonl", "--audit: only with --control"),
        ("rexec web --no-master --master lab1", "--no-master and --master contradict each other"),
        ("rexec web --no-localhost-bind", "no address to serve on: --no-localhost-bind needs --bind ADDRESS"),
        ("rexec web --host http://lab1:80/", "'http://lab1:80/' is no host name"),
        ("rexec web --port 0 --bind a..b", "'a..b' cannot be the name of a host; choose another with --bind"),
        ("rexec run x.py --ssl a b c", "need a master: add --master HOST"),
        ("rexec doctor --ssl a b c", "need a master: add --master HOST"),
        ("rexec simulate --master-ssl a b c", "need a master: add --master HOST"),
        ("rexec up --ssl a b c", "need a master: add --master HOST"),
        ("rexec up --output units", "--output goes with --export"),
        # files
        ("rexec run x.py --master localhost --ssl a b c", "TLS file a does not exist; `rexec certs`"),
        ("rexec bridge --master localhost --ssl a b c", "TLS file a does not exist; `rexec certs`"),
        ("rexec web --ssl a b c", "TLS file a does not exist; `rexec certs`"),
        ("rexec web --device-db absent.py", "absent.py: no such file"),
        ("rexec web --results x.py", "--results x.py: it is no folder"),
        (
            "rexec web --port 0 --control --audit .",
            "the audit . cannot be opened: Is a directory; see --audit",
        ),
        ("rexec web --token-file .", "token file .: Is a directory"),
        ("rexec master --ssl a b c", "TLS file a does not exist; `rexec certs`"),
        ("rexec simulate --ssl a b c", "TLS file a does not exist; `rexec certs`"),
        ("rexec simulate --loopback --experiments absent", "there are no experiments at absent"),
        ("rexec simulate --device-db empty.py", "empty.py has no controller to simulate"),
        ("rexec simulate --write-db .", "cannot write ."),
        (
            "rexec simulate --loopback --write-db device_db.py",
            "device_db.py is not replaced: rexec has not made it",
        ),
        (
            "rexec record camera -o a.rec --write-db device_db.py",
            "device_db.py is not replaced: rexec has not made it",
        ),
        ("rexec record camera -o a.rec --write-db ./a.rec", "--write-db and --output name the same file"),
        ("rexec doctor --checks absent.py", "absent.py: no such file"),
        ("rexec doctor --device-db latin1.py", "latin1.py:1: syntax error"),
        ("rexec run latin1.py", "latin1.py:1: syntax error"),
        ("rexec run .", "cannot be read: Is a directory"),
        ("rexec master --device-db latin1.py", "latin1.py:1: syntax error"),
        ("rexec port .", "port: error: .: Is a directory"),
        ("rexec results show .", "cannot open .: it is a folder"),
        ("rexec results plot absent.h5", "there is no result file absent.h5"),
        ("rexec results recover absent", "there is no folder absent"),
        ("rexec certs x.py", "cannot write into x.py: "),
        ("devicedb show --device-db .", "cannot be read: Is a directory"),
        ("devicedb diff device_db.py absent.py", "absent.py: there is no such file"),
        ("devicedb check --experiments absent", "absent: there is no such folder"),
        ("devicedb check --search-path absent", "absent: there is no such folder of drivers"),
        ("devicedb check --output absent/report", "absent/report: cannot be written"),
        ("devicedb graph --output .", ".: cannot be written"),
        # names
        ("rexec up camrea", "Did you mean 'camera'?"),
        ("rexec doctor camrea", "Did you mean 'camera'?"),
        ("rexec simulate camrea", "Did you mean 'camera'?"),
        ("rexec record camrea -o r", "Did you mean 'camera'?"),
        ("devicedb show camrea", "Did you mean 'camera'?"),
        # addresses
        ("rexec run x.py --bind 192.0.2.1", "cannot listen on 192.0.2.1:0"),
        ("rexec master --bind 192.0.2.1", "--bind needs an address of this machine"),
        ("rexec up --device-db empty.py --bind 192.0.2.1", "cannot be opened on 192.0.2.1"),
        ("rexec run x.py --master 127.0.0.1 --master-port 1", "cannot connect to 127.0.0.1:1: "),
        ("rexec record camera -o r", "127.0.0.1:1"),
        ("rexec call lab..local 3290 ping", "'lab..local' cannot be the name of a host"),
        ("rexec bridge --master lab..local", "'lab..local' cannot be the name of a host"),
        ("rexec run x.py --master lab..local", "'lab..local' cannot be the name of a host"),
        ("rexec run x.py --bind lab..local", "'lab..local' cannot be the name of a host"),
    ],
)
def test_a_mistake_is_one_line(
    line: str, says: str, laboratory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = line.split()
    assert {"rexec": rexec, "devicedb": devicedb}[program](words) == 2
    said = capsys.readouterr()
    assert says in said.err.replace(os.sep, "/")
    assert said.err.startswith(program)
    assert ": error: " in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert not (laboratory / "results").exists()


def test_files_that_cannot_be_read_do_not_keep_the_others_from_being_verified(
    laboratory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rexec(["run", "x.py", "-o", "whole.h5"]) == 0
    (laboratory / "no.h5").write_text("text")
    capsys.readouterr()
    assert rexec(["results", "verify", "no.h5", "absent.h5", "whole.h5"]) == 2
    said = capsys.readouterr()
    assert said.out == "whole.h5: whole\n"
    assert [line.partition(":")[0] for line in said.err.splitlines()] == ["rexec results verify"] * 2


def test_a_host_that_cannot_be_one_is_a_finding(laboratory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {**CONTROLLER, "host": "lab..local"}
    (laboratory / "device_db.py").write_text(f"device_db = {{'camera': {entry!r}}}\n")
    assert rexec(["doctor", "--format", "json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["cause"] == "unresolved"
    assert "'lab..local' cannot be the name of a host" in finding["message"]


def test_a_doctor_without_patients_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert rexec(["doctor", "--device-db", "empty.py"]) == 0
    assert "the device database has no controller" in capsys.readouterr().out
    assert rexec(["doctor", "--device-db", "empty.py", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="needs POSIX permissions, and not to be root"
)
def test_folders_that_may_not_be_read_are_passed_over(laboratory: Path) -> None:
    (laboratory / "closed").mkdir(mode=0)
    assert devicedb(["check", "."]) == 0


@pytest.mark.parametrize("program", ["rexec", "devicedb"])
def test_every_command_refuses_what_it_does_not_know_in_one_line(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in REXEC if program == "rexec" else DEVICEDB:
        assert {"rexec": rexec, "devicedb": devicedb}[program]([command, "--no-such-option"]) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"{program} {command}: error: ")
        assert f"`{program} {command} --help` explains\n" in said.err
        assert (said.out, said.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("words", [["devicedb", "show"], ["rexec", "run", "x.py"], ["rexec", "doctor"]])
def test_characters_that_the_terminal_lacks_are_written_as_escapes(
    words: list[str], laboratory: Path
) -> None:
    (laboratory / "device_db.py").write_text(
        f"device_db = {{'Küvette_µ': {CONTROLLER!r}}}\n", encoding="utf-8"
    )
    (laboratory / "x.py").write_text(EXPERIMENT.replace("it ran", "5 µm"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
        capture_output=True,
        timeout=150,
    )
    assert b"Traceback" not in done.stderr
    assert b"\\xb5" in done.stdout
    assert b"\x1b" not in done.stdout + done.stderr

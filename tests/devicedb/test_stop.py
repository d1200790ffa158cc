"""A check is ended from another thread, as an editor's next keystroke does."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devicedb.check.config import Settings
from devicedb.check.engine import Subject, examine
from devicedb.sandbox import patience
from devicedb.sandbox.lifeline import HAS_LIFELINE
from devicedb.sandbox.limits import WALL
from devicedb.sandbox.run import Stop, Stopped, run_file
from tests.supervise.controllers import alive
from tests.waiting import within


def test_a_run_that_is_stopped_leaves_no_process(tmp_path: Path) -> None:
    path, pid_file = tmp_path / "device_db.py", tmp_path / "pid"
    note = f"open({str(pid_file)!r}, 'w').write(f'{{os.getpid()}} ')"
    path.write_text(f"import os, time\n{note}\ntime.sleep(1000)\ndevice_db = {{}}\n")
    stop = Stop()
    ended: list[BaseException] = []

    def check() -> None:
        try:
            examine(Subject(path, "device_db.py"), Settings(time_limit=50), stop)
        except Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=check)
    thread.start()
    assert within(150, lambda: pid_file.exists() and pid_file.read_text().endswith(" "))
    stop.set()
    thread.join(150)
    assert ended
    assert not alive(int(pid_file.read_text()))


@pytest.mark.skipif(not HAS_LIFELINE, reason="a child's end with its killed parent is Linux's")
def test_a_killed_check_leaves_neither_its_child_nor_what_that_has_started(tmp_path: Path) -> None:
    path, pid_file = tmp_path / "device_db.py", tmp_path / "pids"
    path.write_text(
        "import os, subprocess, time\nstarted = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(pid_file)!r}, 'w').write(f'{{os.getpid()}} {{started.pid}} ')\ntime.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-m", "devicedb", "check", path, "--time-limit", "90"]) as check:
        assert within(150, lambda: pid_file.exists() and pid_file.read_text().count(" ") == 2)
        check.kill()
    pids = [int(each) for each in pid_file.read_text().split()]
    assert within(150, lambda: not any(map(alive, pids)))


def test_a_run_that_was_stopped_before_starts_no_child(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndevice_db = {{}}\n")
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        examine(Subject(path, "device_db.py"), Settings(), stop)
    assert not (tmp_path / "ran").exists()


class SlowChild:
    """A child on a machine that gives it a share of a processor, and what the clock shows meanwhile."""

    pid = 1
    args = ("child",)

    def __init__(self, share: float, needs: float) -> None:
        self.share, self.needs = share, needs
        self.clock = 0.0

    def cpu_seconds(self, _: int) -> float:
        return self.clock * self.share

    def communicate(self, data: bytes = b"", timeout: float = 0.0) -> tuple[bytes, bytes]:
        self.clock += timeout
        if self.cpu_seconds(1) < self.needs:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return b"said", b""


@pytest.mark.parametrize(
    ("share", "needs", "ends"),
    [
        pytest.param(1.0, 0.9, True, id="an idle machine"),
        pytest.param(0.2, 0.9, True, id="a busy machine"),
        pytest.param(1.0, 1.5, False, id="over its CPU time"),
        pytest.param(0.2, 1.5, False, id="over its CPU time on a busy machine"),
        pytest.param(0.01, 0.9, False, id="waits without computing"),
        pytest.param(0.05, 0.9, False, id="over ten times its limit"),
    ],
)
def test_a_file_that_computes_is_limited_by_its_own_time_not_by_the_clock(
    share: float, needs: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = SlowChild(share, needs)
    monkeypatch.setattr(patience, "cpu_seconds", child.cpu_seconds)
    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: child.clock))
    with contextlib.nullcontext() if ends else pytest.raises(subprocess.TimeoutExpired):
        assert patience.communicate(cast("Any", child), b"", 1.0) == (b"said", b"")
    assert ends or child.clock == pytest.approx(min(1.0 / share, 10.0) if share > 0.01 else 1.0, abs=0.3)


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="this system has no alarm")
@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5])
def test_a_child_waits_longer_for_its_end_than_its_parent_does(seconds: float) -> None:
    code = "import signal, sys; from devicedb.sandbox.limits import set_limits; signal.alarm = print"
    asked = [sys.executable, "-c", f"{code}; set_limits({seconds})"]
    alarm = int(subprocess.run(asked, stdout=subprocess.PIPE, check=True, timeout=150).stdout)
    assert alarm > WALL * seconds


def test_a_file_that_only_computes_ends_at_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("while True:\n    pass\n")
    assert run_file(path, time_limit=0.3).ended == "hung"


@pytest.mark.skipif(not HAS_LIFELINE, reason="a child's end with its killed parent is Linux's")
def test_a_child_whose_parent_ended_before_it_looked_ends_too() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    code = (
        "import sys; from devicedb.sandbox.lifeline import end_with_parent; end_with_parent(int(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(reading)], pass_fds=[reading], start_new_session=True
    ) as child:
        os.close(reading)
    assert child.returncode == -signal.SIGKILL


@pytest.mark.skipif(not HAS_LIFELINE, reason="the lifeline is Linux's")
def test_a_program_with_many_open_files_checks_a_database(tmp_path: Path) -> None:
    """Its pipes have numbers that `select` does not take: above 1023."""
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {}\n")
    code = (
        "import os, resource, sys; from pathlib import Path; from devicedb.sandbox.run import run_file;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard));"
        "held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)];"
        "print(run_file(Path(sys.argv[1]), time_limit=60).picture)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=150, check=False
    )
    assert "'root'" in done.stdout, done.stdout + done.stderr

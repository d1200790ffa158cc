"""A child ends with all that it has started, on POSIX by its session, on Windows by its job object."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from devicedb.process_tree import HAS_GUARD, ProcessTree
from tests.ending import ORDERLY
from tests.ground.forking import ends

SLEEPER = "import time; time.sleep(150)\n"
PARENT = f"""import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {SLEEPER!r}]).pid, flush=True)
"""


class InterruptedRun(Exception):
    pass


def program(text: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(text)]


def said(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_what_a_child_has_started_is_killed_with_it() -> None:
    with ProcessTree(program(PARENT + SLEEPER), stdout=subprocess.PIPE) as tree:
        grandchild = said(tree)
        tree.kill_all()
        assert ends(grandchild)
        assert tree.wait(150) != 0


@pytest.mark.parametrize("number", ORDERLY)
def test_a_signal_while_a_program_is_looked_for_in_vain_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    popen: Any = subprocess.Popen.__init__

    def init(self: object, *arguments: object, **keywords: object) -> None:
        signal.raise_signal(number)
        popen(self, *arguments, **keywords)

    def end(number: int, frame: object) -> None:
        raise InterruptedRun

    monkeypatch.setattr(subprocess.Popen, "__init__", init)
    before = signal.signal(number, end)
    try:
        with pytest.raises(InterruptedRun):
            ProcessTree(["no-such-program-anywhere"])
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name == "nt", reason="no process sends Ctrl-C to one other process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_child_starts_ends_it(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What a handler raises before `Popen` knows the child's number would leave the child alone."""
    fork, ours = subprocess._fork_exec, set(psutil.Process().children())  # type: ignore[attr-defined]

    def interrupted(*arguments: object) -> int:
        child: int = fork(*arguments)
        signal.raise_signal(number)
        return child

    def end(*_: object) -> None:
        raise InterruptedRun

    monkeypatch.setattr(subprocess, "_fork_exec", interrupted)
    before = signal.signal(number, end)
    try:
        with pytest.raises(InterruptedRun):
            ProcessTree(program(SLEEPER))
        assert signal.getsignal(number) is end
        assert set(psutil.Process().children()) <= ours  # of which one may have ended
    finally:
        signal.signal(number, before)


def test_what_outlives_the_child_is_killed() -> None:
    with ProcessTree(program(PARENT), stdout=subprocess.PIPE) as tree:
        grandchild = said(tree)
        assert tree.wait(150) == 0
        assert psutil.pid_exists(grandchild)
        tree.kill_all()
        assert ends(grandchild)


def test_a_child_that_is_asked_ends_in_order(tmp_path: Path) -> None:
    text = """
        import os, signal, sys, time
        def end(number, frame):
            os.write(1, b"0\\n")  # print may be interrupted in the middle of itself
            sys.exit(7)
        signal.signal(signal.SIGBREAK if sys.platform == "win32" else signal.SIGTERM, end)
        print("1", flush=True)
        while True:
            time.sleep(0.02)
    """
    with ProcessTree(program(text), stdout=subprocess.PIPE) as tree:
        assert said(tree) == 1
        tree.ask_all()
        assert said(tree) == 0
        assert tree.wait(150) == 7


@pytest.mark.skipif(not HAS_GUARD, reason="the supervisor's guardian does it here: tests/supervise")
def test_a_tree_ends_with_a_killed_parent() -> None:
    text = f"""
        import subprocess, sys, time
        from devicedb.process_tree import ProcessTree
        tree = ProcessTree([sys.executable, "-c", {PARENT + SLEEPER!r}], ends_with_us=True)
        time.sleep(150)
    """
    with subprocess.Popen(program(text), stdout=subprocess.PIPE) as parent:
        grandchild = said(parent)
        parent.kill()
        assert ends(grandchild)


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has jobs")
def test_no_process_is_left_suspended_that_its_job_refuses() -> None:
    pids = []

    class Refused(ProcessTree):
        def _begin(self) -> None:
            pids.append(self.pid)
            self._job.take(0)  # type: ignore[attr-defined, unused-ignore]  # the handle of no process

    with pytest.raises(OSError, match="WinError 6"):
        Refused(program(SLEEPER), stdin=subprocess.PIPE)
    assert ends(pids[0])

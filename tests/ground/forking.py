"""Runs a function in a process that is forked from the test's, and programs that are to be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.supervise.controllers import alive
from tests.waiting import within

ROOT = Path(__file__).resolve().parents[2]


def in_a_fork(function: Callable[[], str]) -> str:
    """Return what a function returns in a forked process; what it raises fails the test."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, function().encode())
            os._exit(0)
        except BaseException as error:  # the test's own stack must not go on in here
            os.write(writing, repr(error).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, text
    return text


@contextmanager
def program(text: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a Python program in a session of its own; yields the process; kills it and its group afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and its children, too
                os.killpg(process.pid, signal.SIGKILL)


def said(process: "subprocess.Popen[str]") -> str:
    """Return the next line of a program, without its end."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ends(pid: int, seconds: float = 150.0) -> bool:
    """Whether a process has ended in time."""
    return within(seconds, lambda: not alive(pid))

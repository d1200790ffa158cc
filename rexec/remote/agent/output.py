"""Runs on the controller, of any make: gives what shipped code prints and logs to the job that it runs in."""

from __future__ import annotations

import builtins
import itertools
import logging
import sys
import threading
from collections import deque
from typing import Any

from rexec.ground.clock import wall_clock

PREFIX = "rexec_shipped_"
# Most lines, and characters, of a job's output that are kept.
MOST_LINES = 10_000
MOST_OUTPUT = 4 << 20
LOCAL = threading.local()


class OutputLog:
    """The lines of one job that wait to be fetched, numbered from 1; the oldest are dropped first.

    It has no lock: only the job's thread adds, and each step leaves the deque whole.
    """

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.lines: deque[tuple[int, float, int, str, str]] = deque()
        self.count = 0
        self.size = 0

    def add(self, level: int, name: str, text: str) -> None:
        """Keep a line."""
        if len(text) > MOST_OUTPUT // 4:
            text = f"{text[: MOST_OUTPUT // 4]}… ({len(text)} characters)"
        number = next(self.numbers)
        self.lines.append((number, wall_clock(), level, name, text))
        self.count = number
        self.size += len(text)
        while self.size > MOST_OUTPUT or len(self.lines) > MOST_LINES:
            self.size -= len(self.lines.popleft()[-1])

    def since(self, seen: int) -> list[tuple[int, float, int, str, str]]:
        """Return the lines after a number, also those that are added meanwhile: their numbers have no gaps."""
        lines = list(self.lines) if self.count > seen else []
        return lines[max(0, seen + 1 - lines[0][0]) :] if lines else []

    def clear(self) -> None:
        """Drop all lines."""
        self.lines.clear()
        self.size = 0


class Current:
    """What shipped code calls `job`: that of the thread it runs on."""

    def __getattr__(self, name: str) -> Any:
        job = getattr(LOCAL, "job", None)
        if job is None:
            raise RuntimeError(
                f"job.{name}: this thread was started by a remote function and has no job itself"
            )
        return getattr(job, name)


class Forward(logging.Handler):
    """Gives the log records of jobs to their callers."""

    def emit(self, record: logging.LogRecord) -> None:
        job = getattr(LOCAL, "job", None)
        if job is not None:
            job.event(record.levelno, record.name.replace(PREFIX, "", 1), self.format(record))


class Lines:
    """A text file of which each line becomes an event."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def show(*values: Any, file: Any = None, **keywords: Any) -> None:
    """Print, for shipped code: to the caller."""
    job = getattr(LOCAL, "job", None)
    if job is None or (file is not None and file not in (sys.stdout, sys.stderr)):
        builtins.print(*values, file=file, **keywords)
        return
    lines = Lines()
    builtins.print(*values, file=lines, **keywords)
    job.event(0, "stderr" if file is sys.stderr else "stdout", lines.text.rstrip("\n"))


CURRENT = Current()
FORWARD = Forward()

"""Runs on the controller, of any make: gives what shipped code prints and logs to the job that it runs in."""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from typing import Any

PREFIX = "rexec_shipped_"
LOCAL = threading.local()


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
        """Keep a record for the caller."""
        job = getattr(LOCAL, "job", None)
        if job is not None:
            job.event(record.levelno, record.name.replace(PREFIX, "", 1), self.format(record))


class Lines:
    """A text file of which each line becomes an event."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Take text."""
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

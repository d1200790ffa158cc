"""A row: one function, which prepares a size and returns the work whose cost is measured."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Cost:
    """What work measured itself, in place of its duration and of the growth of this process's memory.

    Args:
        seconds: For one repetition, such as the p99 of calls, or the CPU time of a program.
        memory: Bytes, such as the peak of a program; None: the growth of this process's peak.

    """

    seconds: float
    memory: float | None = None


Work = Callable[[], Cost | None]
Prepare = Callable[[int, Path], Work]
"""Gets a size and an empty folder, prepares everything that is not measured, and returns the work."""


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Args:
        name: Name on the command line: that of the function, with hyphens.
        title: What is measured.
        start: The smallest size, n.
        per: Number of repetitions that the work makes; the time and the bytes of the table are for one.
        owed: The target, as text.
        prepare: See `Prepare`.

    """

    name: str
    title: str
    start: int
    per: int
    owed: str
    prepare: Prepare


ROWS: Final[dict[str, Row]] = {}
"""All rows, by name; see `row`."""


def row(title: str, *, start: int, owed: str, per: int = 1) -> Callable[[Prepare], Prepare]:
    """Register the decorated function as a row; see `Row` for the parameters."""

    def register(prepare: Prepare) -> Prepare:
        name = prepare.__name__.replace("_", "-")
        assert name not in ROWS, f"two rows are called {name}"
        ROWS[name] = Row(name, title, start, per, owed, prepare)
        return prepare

    return register


def program(*words: str | Path, status: int = 0) -> Work:
    """Return work that runs a program of ours: its CPU time, and the peak of its memory.

    It finds its modules compiled, as an installed program does.

    Args:
        words: `rexec` or `devicedb`, and its arguments.
        status: The exit status that it must have.

    """
    command = [sys.executable, "-P", "-m", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([*command[:4], "--help"], env=environment, stdout=subprocess.DEVNULL, check=True)

    def work() -> Cost:
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
            )
            _, ended, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(ended)
            if child.returncode != status:
                errors.seek(0)
                raise RuntimeError(
                    f"{command} ended with {child.returncode}: {errors.read().decode()[-2000:]}"
                )
        return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)

    return work

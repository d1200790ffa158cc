"""Real ARTIQ installations, named by ARTIQ_PYTHON (one interpreter, or several with the path separator between)."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

PYTHONS: Final = [
    each for each in os.environ.get("ARTIQ_PYTHON", "").split(os.pathsep) if os.path.isfile(each)
]
_ABSENT: Final = "ARTIQ_PYTHON names no interpreter that has ARTIQ"
EACH: Final[list[Any]] = PYTHONS or [pytest.param("", marks=pytest.mark.skip(reason=_ABSENT))]
"""What a test is parametrised on to run against every installation."""


@cache
def release(python: str) -> int:
    """Return the major release of an installation."""
    code = "import artiq; print(artiq.__version__)"
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=150
    )
    return int(done.stdout.partition(".")[0])


def client(python: str, port: int, *words: str, check: bool = True) -> str:
    """Run `artiq_client` to its end; returns what it printed."""
    command = [
        python,
        "-W",
        "ignore",
        "-m",
        "artiq.frontend.artiq_client",
        "-s",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=150)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


class Program:
    """A program of ARTIQ that runs until it is told to end, and what it has printed so far."""

    def __init__(self, python: str, module: str, *words: str, folder: Path) -> None:
        self._pieces: list[str] = []
        self.process: Final = subprocess.Popen(
            [python, "-W", "ignore", "-u", "-m", module, *words],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has printed."""
        return "".join(self._pieces)

    def wait_for(self, condition: Callable[[str], bool], seconds: float = 150.0) -> None:
        """Wait until its output fulfils a condition; AssertionError with the output otherwise."""
        deadline = time.monotonic() + seconds
        while not condition(self.output):
            assert time.monotonic() < deadline, self.output
            assert self.process.poll() is None or condition(self.output), self.output
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(150.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(150.0)
        self._reader.join(150.0)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            while piece := self.process.stdout.read(1):
                self._pieces.append(piece)


@contextlib.contextmanager
def program(python: str, module: str, *words: str, folder: Path) -> Iterator[Program]:
    """Run a program of ARTIQ until the context ends."""
    running = Program(python, module, *words, folder=folder)
    try:
        yield running
    finally:
        running.end()

"""A program at a pseudo-terminal, as a person has it: keys are typed, what appears is read."""

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

PATIENCE: Final = 150.0
"""Seconds until something that was expected is missed."""
_ESCAPES: Final = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])")
_OWN_TERMINAL: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Ctrl-C interrupts what the terminal belongs to: so this one has to."""


class Terminal:
    """What is typed to a program, and what it shows.

    Args:
        master: The other end of its terminal.
        process: The program.

    """

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self._master = master
        self.process = process
        self._shown = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def expect(self, pattern: str) -> "re.Match[str]":
        """Wait until a pattern appears; what is before it and it are then done with."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._shown)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not appear in {self._shown!r}"
            if not self._read(0.2) and self.process.poll() is not None and not self._read(0.2):
                found = re.search(pattern, self._shown)
                assert found is not None, f"the program ended without {pattern!r}: {self._shown!r}"
                break
        self._shown = self._shown[found.end() :]
        return found

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection or a closed window does."""
        self.close()

    def close(self) -> None:
        """Close this end, if it is open."""
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def end(self) -> int:
        """Wait for the end of the program; return its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the program goes on: {self._shown!r}"
            self._read(0.2)
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if self._master < 0:  # hung up
            time.sleep(0.02)
            return False
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self._shown = _ESCAPES.sub("", self._shown + data.decode(errors="replace")).replace("\r", "")
        return bool(data)


@contextlib.contextmanager
def terminal(*command: str, environment: Mapping[str, str], folder: Path | None = None) -> Iterator[Terminal]:
    """Run a program at a terminal of 100 by 40 characters while the context lasts; it is killed if it goes on."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _OWN_TERMINAL, *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment},
        start_new_session=True,
        cwd=folder,
    )
    os.close(slave)
    shown = Terminal(master, process)
    try:
        yield shown
    finally:
        process.kill()
        process.wait(150)
        shown.close()

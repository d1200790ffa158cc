"""Ends the controllers of a supervisor that died without doing so itself, even by kill -9.

One small process a supervisor, in a session of its own: its standard input is a pipe from the supervisor,
which ends when that dies. Run as a script it imports nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Final

GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""


class Guardian:
    """The supervisor's end: tells the guardian which process groups to end with it. For any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        self._groups: set[int] = set()
        self._lock = threading.Lock()

    def watch(self, group: int) -> None:
        """End the process group `group` when this process ends."""
        if os.name == "nt":  # pragma: no cover - process groups are of POSIX
            return
        with self._lock:
            self._groups.add(group)
            if self._pipe is None or not self._tell(f"watch {group}\n"):
                self._start()

    def forget(self, group: int) -> None:
        """Leave the process group alone: it has ended."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"forget {group}\n")

    def close(self) -> None:
        """Let the guardian go; it ends whatever was not forgotten."""
        with self._lock:
            if self._process is not None and self._pipe is not None:
                self._pipe.close()
                self._process.wait(GRACE + 5.0)
            self._process = self._pipe = None

    def _start(self) -> None:
        """Start a guardian, or another one where somebody has killed it, and tell it all there is."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.wait(GRACE + 5.0)
        self._process = subprocess.Popen(  # noqa: S603  # our own file
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._pipe = self._process.stdin
        for group in self._groups:
            self._tell(f"watch {group}\n")

    def _tell(self, line: str) -> bool:
        """Write to the guardian; return whether it is there."""
        if self._pipe is None:
            return False
        try:
            self._pipe.write(line.encode())
        except BrokenPipeError:
            return False
        return True


def _send(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks); return whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Read the supervisor's words until it is gone, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        word, number_text = line.split()
        (groups.add if word == b"watch" else groups.discard)(int(number_text))
    groups = {group for group in groups if _send(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = {group for group in groups if _send(group, 0)}
    for group in groups:
        _send(group, signal.SIGKILL)


if __name__ == "__main__":
    main()

"""Ends the controllers of a supervisor that died without doing so itself, even by kill -9.

One small process a supervisor, in a session of its own: its standard input is a pipe from the supervisor,
which ends when that dies. A program that a controller has put into a session of its own is left alone: whoever does
that wants it to outlive its parent.
"""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from rexec.supervise.groups import HAS_GROUPS

logger = logging.getLogger(__name__)

_PROGRAM: Final = Path(__file__).with_name("_guardian_process.py")
_PATIENCE: Final = 8.0
"""Seconds for the guardian to end, the grace that it gives to controllers included."""


class Guardian:
    """The supervisor's end: tells the guardian which process groups to end with it. For any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        self._has_warned = False

    def watch(self, group: int) -> None:
        """End the process group `group` when this process ends."""
        if not HAS_GROUPS:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "this system has no process groups: if this program is killed, its controllers go on without it"
                )
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
                self._process.wait(_PATIENCE)
            self._process = self._pipe = None

    def _start(self) -> None:
        """Start a guardian, or another one where somebody has killed it, and tell it all there is."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.wait(_PATIENCE)
        self._process = subprocess.Popen(  # noqa: S603  # our own file
            [sys.executable, "-I", "-S", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
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

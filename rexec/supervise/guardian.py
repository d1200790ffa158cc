"""Ends the controllers of a supervisor that was killed, even by kill -9.

The guardian is a small process, a `rexec.ground.Child`: its standard input ends when the supervisor dies. A daemon that
a controller has put into another session is left alone. On Windows the system does all this (`devicedb.process_tree`).
"""

import logging
import os
import threading
from pathlib import Path
from typing import Final

from devicedb.process_tree import HAS_GUARD
from rexec.ground.child import Child, ChildLost

logger = logging.getLogger(__name__)

_PROGRAM: Final = Path(__file__).with_name("_guardian_process.py")
_PATIENCE: Final = 8.0
"""Seconds for the guardian to end, including the grace period of the controllers."""


class Guardian:
    """Tells the guardian process which process groups to end. Thread-safe."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        self._has_warned = False

    def watch(self, group: int) -> None:
        """Have a process group ended when this process ends."""
        if HAS_GUARD:
            return  # the system does it
        with self._lock:
            self._groups.add(group)
            if not self._tell(f"watch {group}"):
                self._start()

    def forget(self, group: int) -> None:
        """Stop watching a process group that has ended."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"forget {group}")

    def close(self) -> None:
        """End the guardian, and the groups that it still watches."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close(_PATIENCE)

    def _start(self) -> None:
        """Start the guardian, or restart one that was killed, and send it all groups."""
        self._close()
        try:
            self._child = Child(_PROGRAM, [str(os.getpid())], purpose="the guardian of the controllers")
            for group in self._groups:
                self._child.send(f"watch {group}".encode())
        except ChildLost as error:
            self._warn(str(error))

    def _tell(self, line: str) -> bool:
        """Write to the guardian; return whether it is alive."""
        if self._child is None:
            return False
        try:
            self._child.send(line.encode())
        except ChildLost:
            return False
        return True

    def _warn(self, why: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("%s: if this program is killed, its controllers keep running", why)

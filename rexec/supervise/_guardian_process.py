"""The guardian's program: waits until its supervisor ends, then ends the process groups that it watches.

It imports the standard library only, and needs process groups (POSIX).
"""

import os
import signal
import sys
import threading
import time
from typing import Final

GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""


HEARTBEAT: Final = 1.0
"""Poll interval of the supervisor, in seconds."""


def _send(group: int, number: int) -> bool:
    """Send a signal to a process group (0 sends nothing); return whether the group exists."""
    try:
        os.killpg(group, number)  # type: ignore[attr-defined, unused-ignore]
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read(groups: set[int]) -> None:
    # Not sys.stdin, because at exit the interpreter would wait for the lock that this thread holds.
    with open(0, "rb", closefd=False) as lines:
        for line in lines:
            word, number = line.split()
            (groups.add if word == b"watch" else groups.discard)(int(number))


def main(supervisor: int) -> None:
    """Read the supervisor's messages until it is gone, then end the remaining groups."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # type: ignore[attr-defined, unused-ignore]
        signal.signal(number, signal.SIG_IGN)
    told: set[int] = set()
    reader = threading.Thread(target=_read, args=(told,), daemon=True)
    reader.start()
    # No wait for end of file alone: a fork of the supervisor may hold the other end of standard input.
    while reader.is_alive() and os.getppid() == supervisor:
        reader.join(HEARTBEAT)
    # Non-blocking, so that the reader ends after the buffered messages.
    os.set_blocking(0, False)  # type: ignore[attr-defined, unused-ignore]
    reader.join(HEARTBEAT)
    groups = set(told)
    groups = {group for group in groups if _send(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = {group for group in groups if _send(group, 0)}
    for group in groups:
        _send(group, signal.SIGKILL)  # type: ignore[attr-defined, unused-ignore]


if __name__ == "__main__":
    main(int(sys.argv[1]))

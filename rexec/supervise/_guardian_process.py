"""The guardian's own program: waits for the end of its supervisor, then ends the process groups that it was told of.

Imports nothing but the standard library, and works where there are process groups.
"""

import os
import signal
import sys
import time
from typing import Final

GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""


def _send(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks); return whether there is one."""
    try:
        os.killpg(group, number)  # type: ignore[attr-defined, unused-ignore]
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Read the supervisor's words until it is gone, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # type: ignore[attr-defined, unused-ignore]
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
        _send(group, signal.SIGKILL)  # type: ignore[attr-defined, unused-ignore]


if __name__ == "__main__":
    main()

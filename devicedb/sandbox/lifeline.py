"""Ends the child, and what it has started, when its parent has ended, also by a kill.

On Linux the parent holds the writing end of a pipe, and the system signals the child's process group once that end is
closed; that costs the child neither a thread nor a loop. On Windows its job does it, elsewhere the child's alarm.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Final

HAS_LIFELINE: Final = sys.platform == "linux"


@contextlib.contextmanager
def lifeline() -> Iterator[tuple[int, ...]]:
    """Yield the descriptor that a child inherits; none where there are no lifelines."""
    if not HAS_LIFELINE:
        yield ()
        return
    reading, writing = os.pipe()
    try:
        yield (reading,)
    finally:
        os.close(reading)
        os.close(writing)


def end_with_parent(descriptor: int) -> None:
    """Have the system kill this process group, which this process leads, when the parent has ended."""
    if sys.platform == "linux":
        import fcntl
        import select

        with contextlib.suppress(OSError):  # a system that only resembles Linux: the alarm is left
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC)
        # `select.select` takes no descriptor above 1023, and a large parent has more open.
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        if ended.poll(0):  # it has ended before
            os.killpg(0, signal.SIGKILL)

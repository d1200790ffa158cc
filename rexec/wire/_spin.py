"""Waits of some microseconds without going to sleep: waking up costs more than a small call."""

import time
from typing import Any, Final

_SPIN: Final = 100e-6


def spin(poll: Any) -> bool:
    """Return whether a poll object reports something within 100 microseconds.

    Args:
        poll: As `select.poll` makes it.
    """
    until = time.perf_counter() + _SPIN
    while not poll.poll(0):
        if time.perf_counter() > until:
            return False
    return True

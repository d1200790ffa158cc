"""Waits of some microseconds without going to sleep: waking up costs more than a small call."""

import os
import time
from typing import Any, Final

_SPIN: Final = 100e-6
_yield: Final = getattr(os, "sched_yield", None)


def spin(poll: Any) -> bool:
    """Return whether a poll object reports something within 100 microseconds.

    Args:
        poll: As `select.poll` makes it.

    """
    until = time.perf_counter() + _SPIN
    while not poll.poll(0):
        if _yield is not None:
            _yield()  # on a busy machine the one who is waited for may need this very processor
        if time.perf_counter() > until:
            return False
    return True

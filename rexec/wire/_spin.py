"""Busy-waits of some microseconds: on an idle machine, to sleep and be woken costs more than a small call.

Busy-wait up to 200 µs before sleeping; each busy-wait that times out makes the next ones rarer (exponential back-off),
because on a busy machine they take the processor from the process whose answer is awaited.
"""

import os
import time
from typing import Any, Final

_SPIN: Final = 200e-6
"""Longest busy-wait in seconds: about what it costs to sleep and be woken."""

_RAREST: Final = 256
"""Most waits without a busy-wait before the next attempt."""

_yield: Final = getattr(os, "sched_yield", None)


class Spin:
    """Busy-waits for one socket; rarer after each one in vain.

    Args:
        poll: As `select.poll` makes it, with the socket registered.

    """

    def __init__(self, poll: Any) -> None:
        self._poll = poll
        self._pause = 1
        self._left = 0
        """Waits until the next attempt."""

    def asleep(self, milliseconds: int) -> bool:
        """Sleep until something can be read, at most that long; return whether it can."""
        return bool(self._poll.poll(milliseconds))

    def awake(self) -> bool:
        """Busy-wait until something can be read; return whether it can. False at once where no attempt is due."""
        if self._left:
            self._left -= 1
            return False
        until = time.perf_counter() + _SPIN
        while not self._poll.poll(0):
            if _yield is not None:
                _yield()  # the peer may need this very processor
            if time.perf_counter() > until:
                self._pause = min(2 * self._pause, _RAREST)
                self._left = self._pause
                return bool(self._poll.poll(0))
        self._pause = 1
        return True

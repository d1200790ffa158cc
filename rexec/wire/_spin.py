"""Waits of some microseconds without going to sleep: on an idle machine, waking up costs more than a small call.

On a busy one, who waits awake takes the processor from whoever is waited for. Neither is known beforehand, so that each
wait in vain makes the next attempts rarer.
"""

import os
import time
from typing import Any, Final

_SPIN: Final = 200e-6
"""Longest wait, in seconds: about what it costs to sleep and to be woken."""

_RAREST: Final = 256
"""Waits that are slept through, at the most, before waking is tried again."""

_yield: Final = getattr(os, "sched_yield", None)


class Spin:
    """Waits awake for one socket, as often as that has been worth it.

    Args:
        poll: As `select.poll` makes it, with the socket registered.

    """

    def __init__(self, poll: Any) -> None:
        self._poll = poll
        self._pause = 1
        self._left = 0
        """Waits until the next attempt."""

    def asleep(self, milliseconds: int) -> bool:
        """Return whether something can be read within that time; sleeps meanwhile."""
        return bool(self._poll.poll(milliseconds))

    def awake(self) -> bool:
        """Return whether something can be read within 200 microseconds; False at once where an attempt is not due."""
        if self._left:
            self._left -= 1
            return False
        until = time.perf_counter() + _SPIN
        while not self._poll.poll(0):
            if _yield is not None:
                _yield()  # the one who is waited for may need this very processor
            if time.perf_counter() > until:
                self._pause = min(2 * self._pause, _RAREST)
                self._left = self._pause
                return bool(self._poll.poll(0))
        self._pause = 1
        return True

"""How many log records each sender may have: a burst, then a rate; what is beyond it is counted."""

import time
from collections.abc import Iterator
from typing import Final

RATE: Final = 200.0
"""Kilobytes or records a second, whichever is more, that a sender may go on sending."""
BURST: Final = 2000.0
"""Those that it may send at once after a pause."""
SENDERS: Final = 1024
"""Senders told apart; those beyond share the budget of one."""
OTHERS: Final = "other senders"


class LogBudgets:
    """Token buckets of senders, and what was dropped of each. Belongs to one thread."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}
        self._untold: dict[str, int] = {}
        self._sweep_at = 0.0
        self.dropped: Final[dict[str, int]] = {}
        """Number of dropped records by sender, since the start."""

    def takes(self, sender: str, size: int) -> bool:
        """Return whether a record is within its sender's budget; it is counted as dropped if not.

        Args:
            sender: Name of the sender.
            size: Bytes of the record.

        """
        now = time.monotonic()
        if sender not in self._left and len(self._left) >= SENDERS:
            if now >= self._sweep_at:
                self._forget(now)
            sender = sender if len(self._left) < SENDERS else OTHERS
        left, since = self._left.get(sender, (BURST, now))
        left = min(BURST, left + RATE * (now - since))
        cost = max(1.0, size / 1024)
        if left < cost:
            self._left[sender] = left, now
            self._untold[sender] = self._untold.get(sender, 0) + 1
            self.dropped[sender] = self.dropped.get(sender, 0) + 1
            return False
        self._left[sender] = left - cost, now
        return True

    def news(self) -> Iterator[tuple[str, int]]:
        """Yield each sender with dropped records, and their number since the last call."""
        untold, self._untold = self._untold, {}
        yield from untold.items()

    def _forget(self, now: float) -> None:
        """Forget the senders whose budgets are full again, except those with dropped records."""
        self._sweep_at = now + 1.0
        for sender, (left, since) in list(self._left.items()):
            if left + RATE * (now - since) >= BURST and sender not in self.dropped:
                del self._left[sender]

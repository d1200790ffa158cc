"""What one browser may send, and how many browsers there may be."""

import time
from typing import Final

MOST_MESSAGE: Final = 1 << 16
"""Maximum bytes of a message of a browser, and of the body of a request."""

MOST_ADDRESS: Final = 1 << 13
"""Maximum characters of an address to which the form of the token leads."""

MOST_BROWSERS: Final = 64
"""Maximum number of pages with a connection."""

_PER_SECOND: Final = 50.0
_BURST: Final = 200.0


class MessageBudget:
    """Counts messages: a burst is allowed, then so many a second."""

    def __init__(self) -> None:
        self._left = _BURST
        self._at = time.monotonic()

    def takes(self) -> bool:
        """Return whether one more message is allowed."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * _PER_SECOND, _BURST) - 1
        self._at = now
        return self._left >= 0

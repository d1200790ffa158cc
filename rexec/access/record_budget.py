"""Bounds the records that somebody without rights can cause, so that nobody fills the disk of an audit.

Anyone who reaches a server can connect and be refused as often as it answers. Each person has some records at once and
a rate; what is beyond is counted, and the count stands in the person's next record.
"""

import socket
import time
from typing import Final

_BURST: Final = 1000.0
_RATE: Final = 10.0
"""Records a second."""
_MOST: Final = 1000
"""Persons that are remembered; those who have been silent longest are forgotten."""


def network_of(peer: str) -> str:
    """Return the addresses among which a client can choose its own: those of this machine, or the /64 of IPv6.

    Args:
        peer: Its host:port.

    """
    host = peer.rpartition(":")[0].partition("%")[0].removeprefix("::ffff:")
    if ":" not in host:
        return "127.0.0.0/8" if host.startswith("127.") else host
    return f"{socket.inet_pton(socket.AF_INET6, host)[:8].hex()}/64"


class RecordBudget:
    """The records that each person may still cause."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float, int]] = {}
        """By person: records left, time (monotonic) of that, records dropped since the last one."""

    def spend(self, person: str) -> int | None:
        """Take one record; return how many were dropped before it, None if it is dropped itself.

        Args:
            person: A proven name, or the network of an address; not what a client can invent.

        """
        now = time.monotonic()
        left, then, dropped = self._left.pop(person, (_BURST, now, 0))
        left = min(_BURST, left + _RATE * (now - then))
        if left < 1.0:
            self._left[person] = left, now, dropped + 1
            return None
        self._left[person] = left - 1.0, now, 0
        if len(self._left) > _MOST:
            del self._left[next(iter(self._left))]
        return dropped

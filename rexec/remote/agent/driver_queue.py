"""Runs on the controller, of any make: gives the driver to one job at a time, in the order of asking."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class Ticket:
    """One wish to have the driver, for as long as it takes.

    Args:
        wanted: Returns whether the owner still runs.
        grant: Called when the driver is granted.
        who: The owner, for others that wait.

    """

    def __init__(self, wanted: Callable[[], bool], grant: Callable[[], None], who: str) -> None:
        self.who = who
        self.since = 0.0
        self.queued = False
        self.granted = False
        self.done = False
        self.owner_wants = wanted
        self.tell_owner = grant

    @property
    def valid(self) -> bool:
        """Whether the owner still waits for the driver, or has it."""
        return not self.done and self.owner_wants()


class DriverQueue:
    """The tickets for one driver. Agents of several releases on one controller share it.

    `advance` is idempotent and may be interrupted: it depends on the tickets alone.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Ticket] = deque()
        self.holder: Ticket | None = None

    def enter(self, ticket: Ticket) -> None:
        """Queue a ticket; may be interrupted and repeated. `advance` must follow."""
        self.waiting.append(ticket)
        ticket.queued = True

    def advance(self) -> None:
        """Give the driver to the first ticket that is still valid, unless one has it."""
        with self.lock:
            while self.holder is None or not self.holder.valid:
                if not self.waiting:
                    self.holder = None
                    return
                # First the holder, then the queue: an interrupt between the two loses no ticket.
                self.holder = self.waiting[0]
                self.waiting.popleft()
            ticket = self.holder
        if not ticket.granted:
            ticket.since = time.monotonic()
            ticket.granted = True
            ticket.tell_owner()

"""The version number of everything that the page shows, and the wait for the next one."""

import asyncio
from typing import Final


class VersionClock:
    """Counts changes. A reader remembers the number that it has seen, and waits for a higher one.

    A change costs the same with no reader as with a hundred. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self.version = 0
        """Number of the newest change."""
        self._next: asyncio.Future[None] | None = None
        self._loop: Final = asyncio.get_running_loop()

    def tick(self) -> int:
        """Count a change, and return its number."""
        self.version += 1
        if self._next is not None:
            if not self._next.done():
                self._next.set_result(None)
            self._next = None
        return self.version

    async def newer_than(self, version: int) -> None:
        """Wait for a change after the one with this number."""
        while self.version <= version:
            if self._next is None:
                self._next = self._loop.create_future()
            await asyncio.shield(self._next)

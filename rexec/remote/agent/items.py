"""Runs on the controller, of any make: the items of a stream between their generator and their consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from rexec.remote.agent.sendable import size_of

# A stream makes so many items in advance of its consumer, or as many as the consumer takes in AHEAD seconds if that is
# more: a fast consumer gets large batches, and a generator that drives an instrument is not far ahead of a slow one.
FEW = 8
AHEAD = 0.1
# Bytes of items in advance, if these are more than FEW; an answer has half of it, so that more are made meanwhile.
MOST_AHEAD = 4 << 20
# Bytes beyond which an array is no cheaper as the row of another one.
LARGE = 1 << 16


class Items:
    """Items that have not arrived yet; the job's thread adds them, the thread of requests takes them back."""

    def __init__(self) -> None:
        # Each with its size.
        self.held: deque[tuple[Any, int]] = deque()
        self.first = 0
        self.window = FEW
        # Each is counted by one thread only.
        self.bytes_made = self.bytes_taken = 0

    def add(self, item: Any) -> None:
        """Add an item; may be interrupted in a job that is to end."""
        size = size_of(item, MOST_AHEAD)
        self.bytes_made += size
        self.held.append((item, size))

    @property
    def full(self) -> bool:
        """Whether the generator is as far ahead of the consumer as it may be."""
        count = len(self.held)
        return count >= FEW and (count >= self.window or self.bytes_made - self.bytes_taken >= MOST_AHEAD)

    def take_back(self, seen: int, spent: float | None) -> int:
        """Drop what has arrived, and return how many items that are.

        Args:
            seen: Number of items that have arrived.
            spent: Seconds that the consumer has spent on them, to which the window is adapted; None if not known.

        """
        before = self.first
        while self.held and self.first < seen:
            _, size = self.held.popleft()
            self.first += 1
            self.bytes_taken += size
        taken = self.first - before
        if taken and spent is not None:
            self.window = max(FEW, min(2 * taken, int(taken * AHEAD / max(spent, 1e-6))))
        return taken

    def batch(self) -> Any:
        """Return the oldest items, as many as one answer takes."""
        items: list[Any] = []
        total = 0
        for item, size in tuple(self.held):
            total += size
            if total > MOST_AHEAD // 2 and len(items) >= FEW:
                break
            items.append(item)
        return stacked(items)


def stacked(items: list[Any]) -> Any:
    """Return small arrays of one type and shape as one array, whose rows they are; anything else as it is.

    One array costs little more on the wire than each of them alone.
    """
    first: Any = items[0] if len(items) > 1 else None
    if type(first).__module__ != "numpy" or type(first).__name__ != "ndarray":
        return items
    kind, dtype, shape = type(first), first.dtype, first.shape
    if not shape or first.nbytes > LARGE:
        return items
    if not all(type(each) is kind and each.dtype == dtype and each.shape == shape for each in items):
        return items
    import numpy

    rows = numpy.empty((len(items), *shape), dtype)
    for index, each in enumerate(items):
        rows[index] = each
    return rows


def awaited(items: AsyncGenerator[Any, Any]) -> Iterator[Any]:
    """Yield the items of an asynchronous generator, on an event loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                item = loop.run_until_complete(anext(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        loop.run_until_complete(items.aclose())
        loop.close()

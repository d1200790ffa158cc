"""How much may be compressed: as much as there is time for, by the rate that was measured."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BUDGET: Final = 1.0
"""Seconds of compression at the end of a run, for which the run waits."""

_RATE: Final = 50e6
"""Bytes a second, until it was measured."""

_MEASURED_FROM: Final = 2**18


class CompressionPace:
    """Measures how fast HDF5 compresses the data of a run, and tells what there is time for."""

    def __init__(self) -> None:
        self._rate = _RATE
        self._left = float("inf")

    def begin(self, *, hurry: bool) -> None:
        """Begin an update of the file, one that a run waits for, or another."""
        self._left = BUDGET if hurry else float("inf")

    def allows(self, count: int) -> bool:
        """Return whether there is time to compress so many bytes."""
        return count <= self._left * self._rate

    @contextmanager
    def measured(self, count: int) -> Iterator[None]:
        """Measure the block, which compresses so many bytes."""
        begun = time.perf_counter()
        yield
        elapsed = time.perf_counter() - begun
        self._left -= elapsed
        if count >= _MEASURED_FROM and elapsed > 0:
            self._rate += (count / elapsed - self._rate) / 2

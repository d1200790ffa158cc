"""The timeline of a simulated core device: what `now_mu`, `delay` and `parallel` of kernels use.

ARTIQ's language passes all of them to one object (`artiq.language.core.set_time_manager`).
"""

import time
from dataclasses import dataclass


@dataclass
class _Block:
    start: int
    now: int
    end: int
    is_parallel: bool


class Timeline:
    """The cursor of the timeline, in machine units, and the blocks that it is in.

    In a parallel block every statement begins where the block began; the block ends with the longest of them.

    Args:
        ref_period: Seconds of one machine unit.

    """

    def __init__(self, ref_period: float = 1e-9) -> None:
        self.ref_period = ref_period
        self._blocks = [_Block(0, 0, 0, False)]
        self._began = time.monotonic()
        self._ahead = 0

    def get_time_mu(self) -> int:
        """Return the cursor."""
        return self._blocks[-1].now

    def set_time_mu(self, t: int) -> None:
        """Set the cursor."""
        block = self._blocks[-1]
        block.now = int(t)
        block.end = max(block.end, block.now)

    def take_time_mu(self, duration: int) -> None:
        """Add the duration of a statement, in machine units."""
        block = self._blocks[-1]
        if block.is_parallel:
            block.end = max(block.end, block.start + int(duration))
        else:
            block.now += int(duration)
            block.end = max(block.end, block.now)

    def take_time(self, duration: float) -> None:
        """Add the duration of a statement, in seconds."""
        self.take_time_mu(self.to_mu(duration))

    def enter_sequential(self) -> None:
        """Begin a block whose statements follow each other."""
        self._enter(is_parallel=False)

    def enter_parallel(self) -> None:
        """Begin a block whose statements begin together."""
        self._enter(is_parallel=True)

    def exit(self) -> None:
        """End a block at the end of its longest statement."""
        block = self._blocks.pop()
        outer = self._blocks[-1]
        if outer.is_parallel:
            outer.end = max(outer.end, block.end)
        else:
            outer.now = block.end if block.is_parallel else block.now
            outer.end = max(outer.end, outer.now)

    def _enter(self, *, is_parallel: bool) -> None:
        now = self._blocks[-1].now
        self._blocks.append(_Block(now, now, now, is_parallel))

    def to_mu(self, seconds: float) -> int:
        """Return a time in machine units."""
        return round(seconds / self.ref_period)

    def counter(self) -> int:
        """Return the counter of the hardware, in machine units; it follows the clock of this computer."""
        return self.to_mu(time.monotonic() - self._began) + self._ahead

    def wait_until(self, t: int) -> None:
        """Move the counter to a time, without waiting."""
        self._ahead += max(0, int(t) - self.counter())

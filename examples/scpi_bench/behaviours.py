"""What the bench does where it is simulated: the multimeter sees the generator's signal behind a low-pass filter.

With this file the toolkit's own simulation stands in for both controllers; `--simulation` of the controllers
themselves has pyvisa-sim answer below their drivers.
"""

import math
import random

CUTOFF = 1591.55
"""Of the filter, in Hz."""

state = {"frequency": 1e3, "amplitude": 1.0, "output": 0.0}
"""What the generator is set to; both devices are simulated in one process."""


class generator:  # noqa: N801  # named after the device
    """Remembers what it is set to."""

    def set_frequency(self, hertz: float) -> None:
        """Set the frequency, in Hz."""
        state["frequency"] = hertz

    def set_amplitude(self, volts: float) -> None:
        """Set the amplitude, in V (root mean square)."""
        state["amplitude"] = volts

    def set_output(self, is_on: bool) -> None:
        """Switch the output on or off."""
        state["output"] = float(is_on)

    def settings(self) -> dict[str, float]:
        """Return frequency (Hz), amplitude (V, root mean square), and output (1 on, 0 off)."""
        return dict(state)


class multimeter:  # noqa: N801  # named after the device
    """Reads with a noise of 2 mV."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def measure(self) -> float:
        """Take one reading and return it, in V (root mean square)."""
        gain = 1 / math.hypot(1, state["frequency"] / CUTOFF)
        return abs(state["output"] * state["amplitude"] * gain + self._random.gauss(0, 2e-3))

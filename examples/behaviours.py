"""What the devices of all three laboratories do when they are simulated: `rexec run … --simulate --behaviours`.

The methods that are not written here come from the drivers' source, and return the plainest value of their type.
"""

import math
import random
import time

from camera.controller import Camera

CUTOFF = 1591.55  # Hz, of the filter between generator and multimeter

state = {"frequency": 1e3, "amplitude": 1.0, "output": 0.0}


class camera(Camera):
    """The camera of the example is a simulation already."""


class host_monitor:
    """A machine that is busy every other second."""

    def read(self):
        now = time.time()
        load = 50 + 40 * math.sin(math.pi * now)
        return {"time": now, "cpu": load, "memory": 4e9, "received": 1e6 * now, "sent": 1e5 * now}


class generator:
    """Remembers what it is set to."""

    def set_frequency(self, hertz):
        state["frequency"] = hertz

    def set_amplitude(self, volts):
        state["amplitude"] = volts

    def set_output(self, is_on):
        state["output"] = float(is_on)

    def settings(self):
        return dict(state)


class multimeter:
    """Reads the generator's voltage after a low-pass filter, with noise."""

    def __init__(self):
        self._random = random.Random(1)

    def measure(self):
        gain = 1 / math.hypot(1, state["frequency"] / CUTOFF)
        return abs(state["output"] * state["amplitude"] * gain + self._random.gauss(0, 2e-3))

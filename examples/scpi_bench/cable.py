"""The simulated bench's cable: from the generator's output through a low-pass filter to the multimeter's input.

pyvisa-sim answers for each instrument alone. That the one sees what the other makes is physics, and this is it.
"""

import random
import threading

from rexec.wire.pc_rpc import Client

CUTOFF = 1591.55  # Hz: a resistor of 1 kΩ and a capacitor of 100 nF, 1 / (2π R C)
NOISE = 2e-3  # V, root mean square, of one reading


class Cable:
    """What is at the multimeter's input.

    Args:
        host: Of the generator's controller.
        port: Of the generator's controller.

    """

    def __init__(self, host: str, port: int) -> None:
        self._generator = (host, port)
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._random = random.Random(1)

    def volts(self) -> float:
        """Return the voltage after the filter, in V (root mean square), with noise.

        Raises:
            OSError: The generator's controller does not answer.

        """
        with self._lock:
            if self._client is None:
                self._client = Client(*self._generator, "generator")
            settings = self._client.settings()
            level = settings["output"] * settings["amplitude"]
            passed = level / (1 + (settings["frequency"] / CUTOFF) ** 2) ** 0.5
            return abs(passed + self._random.gauss(0, NOISE))

"""Sent to the multimeter's controller: sweeps the generator's frequency and reads the multimeter beside its driver."""

import statistics
import time
from collections.abc import Iterator

from rexec.remote import controller_driver
from rexec.wire.pc_rpc import Client


def sweep(
    generator_at: tuple[str, int], frequencies: list[float], readings: int, settle: float
) -> Iterator[tuple[float, float]]:
    """Yield mean and standard deviation of some readings at each frequency, in V (root mean square).

    The generator is asked from the multimeter's controller: no reading and no setting passes through the experiment.

    Args:
        generator_at: Host and port of the generator's controller, as the multimeter's controller reaches it.
        frequencies: In Hz.
        readings: At each frequency; two or more.
        settle: Seconds to wait after each change of the frequency.

    """
    generator = Client(*generator_at, "generator")
    try:
        generator.set_output(True)
        for frequency in frequencies:
            generator.set_frequency(frequency)
            time.sleep(settle)
            volts = [controller_driver.measure() for _ in range(readings)]
            yield statistics.fmean(volts), statistics.stdev(volts)
    finally:
        generator.set_output(False)
        generator.close_rpc()

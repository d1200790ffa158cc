"""Measures the frequency response of a filter, with a function generator and a multimeter."""

from typing import Any

import numpy as np
from rich.progress import track
from scipy.optimize import curve_fit
from sweep import sweep

from rexec.experiment import EnvExperiment, NumberValue

AMPLITUDE = 1.0  # V, root mean square


def low_pass(frequency: Any, cutoff: float) -> Any:
    """Return the gain of a low-pass filter of first order: 1 / sqrt(1 + (frequency / cutoff)²)."""
    return 1 / np.sqrt(1 + (frequency / cutoff) ** 2)


class FilterResponse(EnvExperiment):
    """Measure a filter's frequency response, and fit its cutoff."""

    points: int
    readings: int
    settle: float
    generator: Any
    multimeter_rexec: Any

    def build(self) -> None:
        """Ask for arguments and devices."""
        self.setattr_argument("points", NumberValue(25, precision=0, step=1, min=3, type="int"))
        self.setattr_argument("readings", NumberValue(10, precision=0, step=1, min=2, type="int"))
        self.setattr_argument("settle", NumberValue(0.01, unit="s", min=0.0))
        self.setattr_device("generator")
        self.setattr_device("multimeter_rexec")

    def run(self) -> None:
        """Sweep the frequency from 50 Hz to 50 kHz."""
        entry = self.get_device_db()["generator"]
        frequencies = np.geomspace(50.0, 50e3, self.points)
        self.generator.set_amplitude(AMPLITUDE)
        self.set_dataset("frequency", frequencies, unit="Hz", broadcast=True)
        self.set_dataset("gain", [], broadcast=True)
        self.set_dataset("gain_error", [], broadcast=True)
        self.default_plot("gain", ["frequency"])
        points = self.multimeter_rexec.function(sweep).stream(
            (entry["host"], entry["port"]), frequencies.tolist(), self.readings, self.settle
        )
        with points:
            for mean, deviation in track(points, "sweep", total=self.points):
                self.append_to_dataset("gain", mean / AMPLITUDE)
                self.append_to_dataset("gain_error", deviation / AMPLITUDE / self.readings**0.5)

    def analyze(self) -> None:
        """Fit the cutoff frequency."""
        frequency, gain = self.get_dataset("frequency"), np.array(self.get_dataset("gain"))
        (cutoff,), ((variance,),) = curve_fit(low_pass, frequency, gain, [1e3])
        self.set_dataset("cutoff", float(cutoff), unit="Hz", broadcast=True)
        self.set_dataset("cutoff_error", float(variance) ** 0.5, unit="Hz", broadcast=True)

"""Fits the spot on a camera's frames, beside the driver or here, and says what either costs."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import fit
from rich.progress import track
from traffic import bytes_received

from rexec.experiment import BooleanValue, EnvExperiment, NumberValue
from rexec.remote import controller_driver

logger = logging.getLogger(__name__)

UNITS = {"amplitude": "counts", "offset": "counts", "x": "px", "y": "px", "size_x": "px", "size_y": "px"}


def spots_there(frames: int) -> Iterator[dict[str, float]]:
    """Take and fit frames: runs on the controller."""
    for _ in range(frames):
        yield fit.fit_spot(controller_driver.get_frame())


class FitSpot(EnvExperiment):
    """Fit the spot on a camera's frames."""

    frames: int
    remote: bool
    compare: bool
    camera: Any
    rexec: Any

    def build(self) -> None:
        """Ask for arguments and devices."""
        self.setattr_argument("frames", NumberValue(30, precision=0, step=1, min=1, type="int"))
        self.setattr_argument("remote", BooleanValue(True))
        self.setattr_argument("compare", BooleanValue(True))
        self.setattr_device("camera")
        self.setattr_device("rexec")

    def run(self) -> None:
        """Take and fit the frames; with `compare` as many more the other way."""
        self.port = self.get_device_db()["camera"]["port"]
        self.spots_there = self.rexec.function(spots_there)
        list(self.spots_there.stream(0))  # sent, and SciPy imported there, before the clock starts
        for name, unit in UNITS.items():
            self.set_dataset(name, [], unit=unit, broadcast=True)
        self.take(self.remote, store=True)
        if self.compare:
            self.take(not self.remote, store=False)

    def spots_here(self) -> Iterator[dict[str, float]]:
        """Fetch frames and fit them here."""
        for _ in range(self.frames):
            yield fit.fit_spot(self.camera.get_frame())

    def take(self, remote: bool, store: bool) -> None:
        """Take and fit all frames one way.

        Args:
            remote: Fit beside the driver, else here.
            store: Keep the parameters.

        """
        mode = "remote" if remote else "local"
        before, began = bytes_received(self.port), time.monotonic()
        spots = self.spots_there.stream(self.frames) if remote else self.spots_here()
        for spot in track(spots, f"{mode} fits", total=self.frames):
            for name in UNITS if store else ():
                self.append_to_dataset(name, spot[name])
        seconds = time.monotonic() - began
        self.set_dataset(f"rate_{mode}", self.frames / seconds, unit="frames/s", broadcast=True)
        logger.info("%s: %.1f frames/s", mode, self.frames / seconds)
        after = bytes_received(self.port)
        if before is not None and after is not None:
            self.set_dataset(
                f"bytes_{mode}", (after - before) / self.frames, unit="bytes/frame", broadcast=True
            )
            logger.info("%s: %.0f bytes over the wire a frame", mode, (after - before) / self.frames)

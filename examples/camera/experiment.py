"""Fits the spot on a camera's frames, beside the driver or here, and says what either costs."""

import inspect
import logging
import time
from typing import Any

import fit
from traffic import bytes_received

from rexec.experiment import BooleanValue, EnvExperiment, NumberValue

logger = logging.getLogger(__name__)

REMOTE = "def get_and_fit(): return fit_spot(controller_driver.get_frame())"
UNITS = {"amplitude": "counts", "offset": "counts", "x": "px", "y": "px", "size_x": "px", "size_y": "px"}


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
        self.rexec.add_code(inspect.getsource(fit) + REMOTE)
        for name, unit in UNITS.items():
            self.set_dataset(name, [], unit=unit, broadcast=True)
        self.take(self.remote, store=True)
        if self.compare:
            self.take(not self.remote, store=False)

    def take(self, remote: bool, store: bool) -> None:
        """Take and fit all frames one way.

        Args:
            remote: Fit beside the driver, else here.
            store: Keep the parameters.

        """
        before, began = bytes_received(self.port), time.monotonic()
        for _ in range(self.frames):
            spot = self.rexec.call("get_and_fit") if remote else fit.fit_spot(self.camera.get_frame())
            for name in UNITS if store else ():
                self.append_to_dataset(name, spot[name])
        seconds = time.monotonic() - began
        mode = "remote" if remote else "local"
        self.set_dataset(f"rate_{mode}", self.frames / seconds, unit="frames/s", broadcast=True)
        logger.info("%s: %.1f frames/s", mode, self.frames / seconds)
        after = bytes_received(self.port)
        if before is not None and after is not None:
            self.set_dataset(
                f"bytes_{mode}", (after - before) / self.frames, unit="bytes/frame", broadcast=True
            )
            logger.info("%s: %.0f bytes over the wire a frame", mode, (after - before) / self.frames)

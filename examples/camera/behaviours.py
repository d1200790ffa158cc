"""What the camera does where it is simulated: a spot that stands still, so that a test knows what a fit must find."""

import numpy as np
from numpy.typing import NDArray

X, Y = 300.0, 200.0
"""Where the spot is, in pixels."""


class camera:  # noqa: N801  # named after the device
    """A camera of 640 by 480 pixels that sees a spot without noise."""

    def __init__(self) -> None:
        x, y = np.arange(640), np.arange(480)[:, None]
        self.frame = 100 + 2000 * np.exp(-(((x - X) / 24) ** 2) / 2 - ((y - Y) / 16) ** 2 / 2)

    def get_size(self) -> tuple[int, int]:
        """Return width and height of a frame in pixels."""
        return 640, 480

    def get_frame(self) -> NDArray[np.uint16]:
        """Return a frame: counts, shape (480, 640), uint16."""
        return self.frame.astype(np.uint16)

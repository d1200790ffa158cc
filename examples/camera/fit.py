"""Where a spot is, and how large: a two-dimensional Gaussian fitted to a frame.

This file is sent to the controller, so that the fit runs where the frame is; it runs here as well.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit


def gaussian(
    at: tuple[Any, Any], amplitude: float, x: float, y: float, size_x: float, size_y: float, offset: float
) -> Any:
    """Return a two-dimensional Gaussian: amplitude exp(-((x'-x)/size_x)²/2 - ((y'-y)/size_y)²/2) + offset."""
    return amplitude * np.exp(-(((at[0] - x) / size_x) ** 2) / 2 - ((at[1] - y) / size_y) ** 2 / 2) + offset


def fit_spot(frame: NDArray[Any], step: int = 4) -> dict[str, float]:
    """Fit a Gaussian to a frame.

    Args:
        frame: Counts, shape (height, width).
        step: Pixels are averaged in squares of this side before the fit.

    Returns:
        amplitude and offset in counts, x and y of the centre and size_x and size_y (standard deviations) in pixels.

    Raises:
        RuntimeError: The fit does not converge.

    """
    height, width = (side // step for side in frame.shape)
    coarse = frame[: height * step, : width * step].reshape(height, step, width, step).mean((1, 3))
    y, x = np.indices(coarse.shape)
    centre = (step - 1) / 2
    peak_y, peak_x = np.unravel_index(coarse.argmax(), coarse.shape)
    offset = float(np.median(coarse))
    guess = (coarse.max() - offset, peak_x * step + centre, peak_y * step + centre, 20.0, 20.0, offset)
    at = (x.ravel() * step + centre, y.ravel() * step + centre)
    found, _ = curve_fit(gaussian, at, coarse.ravel(), guess)
    names = ("amplitude", "x", "y", "size_x", "size_y", "offset")
    result = dict(zip(names, map(float, found), strict=True))
    return result | {"size_x": abs(result["size_x"]), "size_y": abs(result["size_y"])}

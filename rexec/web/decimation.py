"""Long lines as fewer points, none of them invented: the least and the greatest of each stretch.

Stretches are powers of two, so that what a browser has stays right while a line grows, and new points cost what they
are, not what there is.
"""

from typing import Any

import numpy as np


def step_for(rows: int, most: int) -> int:
    """Return the length of the stretches of a line: 1 (all points), or a power of two with at most `most` points."""
    return 1 if rows <= most else 1 << (-(-2 * rows // max(most, 2)) - 1).bit_length()


def extremes(values: "np.ndarray[Any, Any]", step: int) -> "np.ndarray[Any, Any]":
    """Return which points of a line stand for it: two for each stretch, ascending (the same twice, of a single point).

    Args:
        values: Real numbers; a stretch of NaN alone is told by its first point.
        step: Length of a stretch.

    """
    stretches = -(-values.size // step)
    padded = values
    if stretches * step != values.size:
        padded = np.concatenate([values, np.full(stretches * step - values.size, values[-1], values.dtype)])
    table = padded.reshape(stretches, step)
    if values.dtype.kind == "f":
        gaps = np.isnan(table)
        low = np.where(gaps, np.inf, table).argmin(axis=1)
        high = np.where(gaps, -np.inf, table).argmax(axis=1)
    else:
        low, high = table.argmin(axis=1), table.argmax(axis=1)
    begins = np.arange(stretches) * step
    found = np.stack([begins + np.minimum(low, high), begins + np.maximum(low, high)], axis=1).reshape(-1)
    within: np.ndarray[Any, Any] = np.minimum(found, values.size - 1)
    return within

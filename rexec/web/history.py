"""The last values of a number that changes, with their times, in a bounded memory."""

from typing import Any, Final

import numpy as np

MOST: Final = 4096
"""Values that are kept; a new one then takes the place of the oldest."""


class History:
    """Times and values of a number."""

    def __init__(self) -> None:
        self._data: Final = np.empty((2 * MOST, 2))
        self._end = 0
        self.dropped = 0
        """How many of the oldest values are gone."""

    def add(self, time: float, value: float) -> None:
        """Take a value."""
        if self._end == len(self._data):
            self._data[:MOST] = self._data[MOST:]
            self.dropped += MOST
            self._end = MOST
        self._data[self._end] = time, value
        self._end += 1

    def rows(self) -> "np.ndarray[Any, Any]":
        """Return times and values in two columns."""
        return self._data[: self._end]

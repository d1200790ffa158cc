"""The numbers of a dataset as an array of rows, without converting a growing list again at every append."""

from typing import Any, Final

import numpy as np

_KINDS: Final = "biufc"
_FIRST: Final = 64


class NumberRows:
    """A value seen as rows: an array as it is, a list of numbers (or of equal rows of numbers) as an array that grows.

    Args:
        value: The value; a list may grow later.

    """

    def __init__(self, value: Any) -> None:
        self._value: Final = value
        self._buffer: np.ndarray[Any, Any] | None = None
        self._filled = 0
        self._is_numeric = True

    def array(self) -> "np.ndarray[Any, Any] | None":
        """Return the numbers; None: the value is something else."""
        value = self._value
        if isinstance(value, np.ndarray):
            is_plain = (
                value.dtype.kind in _KINDS and value.ndim > 0 and not isinstance(value, np.ma.MaskedArray)
            )
            return value if is_plain else None
        if not isinstance(value, list) or not self._is_numeric or not value:
            return None
        if len(value) < self._filled:
            self._filled, self._buffer = 0, None
        if self._filled < len(value) and not self._take(value[self._filled :]):
            self._is_numeric, self._buffer = False, None
            return None
        return None if self._buffer is None else self._buffer[: self._filled]

    def touched(self, start: int, stop: int) -> None:
        """Read rows of a list again, which were set."""
        if self._buffer is None:
            return
        stop = min(stop, self._filled)
        if start < stop:
            new = _numbers(self._value[start:stop])
            if new is None or new.shape[1:] != self._buffer.shape[1:]:
                self._filled, self._buffer = 0, None
                return
            self._reserve(0, np.result_type(self._buffer.dtype, new.dtype))
            self._buffer[start:stop] = new

    def _take(self, items: list[Any]) -> bool:
        new = _numbers(items)
        if new is None:
            return False
        if self._buffer is None:
            self._buffer = np.empty((max(_FIRST, len(new)), *new.shape[1:]), new.dtype)
        elif new.shape[1:] != self._buffer.shape[1:]:
            return False
        self._reserve(len(new), np.result_type(self._buffer.dtype, new.dtype))
        self._buffer[self._filled : self._filled + len(new)] = new
        self._filled += len(new)
        return True

    def _reserve(self, more: int, dtype: "np.dtype[Any]") -> None:
        assert self._buffer is not None  # noqa: S101  # the callers have checked
        needed = self._filled + more
        if needed > len(self._buffer) or dtype != self._buffer.dtype:
            size = max(2 * len(self._buffer) if needed > len(self._buffer) else len(self._buffer), needed)
            larger = np.empty((size, *self._buffer.shape[1:]), dtype)
            larger[: self._filled] = self._buffer[: self._filled]
            self._buffer = larger


def _numbers(items: list[Any]) -> "np.ndarray[Any, Any] | None":
    if not all(
        isinstance(each, int | float | complex | np.number | np.bool_ | np.ndarray | list | tuple)
        for each in items
    ):
        return None
    try:
        array = np.asarray(items)
    except (ValueError, TypeError, OverflowError):  # rows of unequal length
        return None
    return array if array.dtype.kind in _KINDS else None

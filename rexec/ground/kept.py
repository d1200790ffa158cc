"""An array that is not in memory: each use reads it from where it is kept."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]


class KeptArray:
    """Stands for an array in a list of a dataset's value.

    Args:
        dtype: Type of the array.
        shape: Its shape.
        load: Reads it.

    """

    __slots__ = ("dtype", "load", "shape")

    def __init__(self, dtype: "np.dtype[Any]", shape: tuple[int, ...], load: Callable[[], Array]) -> None:
        self.dtype: Final = dtype
        self.shape: Final = shape
        self.load: Final = load

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def has_kept(value: Any) -> bool:
    """Return whether a value is a list with arrays that are not in memory."""
    return type(value) is list and KeptArray in set(map(type, value))


def loaded(item: Any) -> Any:
    """Return an item of a list as it is, an array that is not in memory from where it is kept."""
    return item.load() if type(item) is KeptArray else item


def in_memory(value: Any) -> Any:
    """Return a value with all arrays in memory."""
    return [loaded(item) for item in value] if has_kept(value) else value

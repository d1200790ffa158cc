"""Values of datasets: copies that nobody else can change, and changes inside them."""

import copy
from typing import Any, Final

import numpy as np

_IMMUTABLE: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})


def own_copy(value: Any) -> Any:
    """Return `value`, or an equal value that shares nothing that can be changed with it.

    Lists, tuples and dicts are copied at every depth, arrays with their data. What cannot be copied is
    returned as it is.

    Raises:
        ValueError: It is nested beyond what Python follows, or holds itself.

    """
    try:
        return _own_copy(value)
    except RecursionError:
        raise ValueError(
            f"a {type(value).__name__} that is nested so deeply, or that holds itself, cannot be a dataset"
        ) from None


def _own_copy(value: Any) -> Any:
    kind = type(value)
    if kind in _IMMUTABLE or isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if kind is list or kind is tuple:
        if set(map(type, value)) <= _IMMUTABLE:
            return kind(value)
        return kind(map(_own_copy, value))
    if kind is dict:
        return {key: _own_copy(item) for key, item in value.items()}
    try:
        return copy.deepcopy(value)
    except Exception:  # any class may refuse to be copied, in any way
        return value


def slices(index: Any) -> Any:
    """Return what `mutate_dataset` means by `index`.

    A tuple of ints is one slice, a tuple of tuples of ints one slice for each dimension; anything else is an
    index as it stands.
    """
    if isinstance(index, tuple) and index:
        if isinstance(index[0], tuple):
            return tuple(slice(*part) for part in index)
        if not isinstance(index[0], slice):
            return slice(*index)
    return index


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal at every depth, arrays elementwise, NaN equal to itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
            return False
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return one.tobytes() == other.tobytes() or bool(np.array_equal(one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other) or bool(one != one and other != other)  # NaN

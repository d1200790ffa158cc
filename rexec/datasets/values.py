"""Values of datasets: copies that nobody else can change, and their comparison."""

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, SupportsIndex

import numpy as np

from rexec.ground.kept import KeptArray
from rexec.ground.plain import MAX_DEPTH, TooDeep

IMMUTABLE: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})
"""Classes whose objects are shared by a value and its copies."""


class DatasetList(list[Any]):
    """A list that notes whether it was changed by one of its methods; pickled and copied as a plain list."""

    __slots__ = ("is_changed",)

    def __init__(self) -> None:
        self.is_changed = False

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[list[Any]], tuple[list[Any]]]:
        """Return how a plain list of the same items is made."""
        return list, (list(self),)


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(list, name)

    @wraps(method)
    def change(self: DatasetList, *arguments: Any, **options: Any) -> Any:
        self.is_changed = True
        return method(self, *arguments, **options)

    return change


for _name in ("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse",
              "__setitem__", "__delitem__", "__iadd__", "__imul__"):  # fmt: skip
    setattr(DatasetList, _name, _noting(_name))


def own_copy(value: Any, depth: int = 0) -> Any:
    """Return `value`, or an equal value that shares nothing that can be changed with it.

    Lists, tuples and dicts are copied at every depth, arrays with their data. What cannot be copied is
    returned as it is.

    Args:
        value: Any value.
        depth: How deep it will stand in a dataset.

    Raises:
        ValueError: It is nested deeper than `MAX_DEPTH`, or holds itself.

    """
    try:
        return _own_copy(value, depth)
    except RecursionError:
        raise TooDeep from None


def _own_copy(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in IMMUTABLE or isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if kind is KeptArray:
        return value.load()
    if kind is DatasetList:
        kind = list
    if kind is list or kind is tuple or kind is dict:
        if depth >= MAX_DEPTH:
            raise TooDeep
        if kind is dict:
            return {key: _own_copy(item, depth + 1) for key, item in value.items()}
        if set(map(type, value)) <= IMMUTABLE:
            return kind(value)
        return kind([_own_copy(item, depth + 1) for item in value])
    try:
        return copy.deepcopy(value)
    except Exception:  # any class may refuse to be copied, in any way
        return value


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal at every depth, arrays elementwise, NaN equal to itself.

    Values whose comparison fails or has no answer are not the same.
    """
    return compared(one, other) is True


def compared(one: Any, other: Any) -> bool | None:
    """Return whether two values are the `same`; None where their comparison fails or has no answer."""
    try:
        return _same(one, other)
    except Exception:  # any class may refuse to be compared, in any way
        return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and _same_arrays(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other) or bool(one != one and other != other)  # NaN


def _same_arrays(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if isinstance(one, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(one), np.ma.getmaskarray(other)
        return np.array_equal(*masks) and _same_arrays(one.filled(0), other.filled(0))
    if one.dtype.hasobject:
        return all(map(_same, one.ravel().tolist(), other.ravel().tolist()))
    return one.tobytes() == other.tobytes() or bool(np.array_equal(one, other))

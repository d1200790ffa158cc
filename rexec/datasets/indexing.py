"""Indexes into datasets: brought into one form that memory, journal, file and subscribers understand alike.

That form is made of ints, bools, None, slices of ints, integer and boolean arrays, names of fields, and tuples of
these; into a dict it is a plain key. Anything else is refused where it is used.
"""

import operator
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

Index = Any
"""An index in that form."""

_LARGEST: Final = 2**63 - 1
_KEYS: Final = (bool, int, float, complex, str, bytes, type(None))


def artiq_index(index: Any) -> Any:
    """Return what `mutate_dataset` means by `index`.

    A tuple of ints is one slice, a tuple of tuples of ints one slice for each dimension.
    Anything else is an index as it stands.

    Raises:
        IndexError: A tuple cannot be a slice.

    """
    if not isinstance(index, tuple) or not index:
        return index
    if all(isinstance(part, tuple) for part in index):
        return tuple(_slice(part) for part in index)
    return _slice(index) if all(map(_is_whole, index)) else index


def canonical_index(target: Any, index: Any) -> Index:
    """Return an index of `target` in the form that everybody understands.

    Args:
        target: The list, array or dict.
        index: What NumPy, a list or a dict takes.

    Raises:
        IndexError, TypeError: It is no index of it.

    """
    if isinstance(target, np.ndarray):
        given = index if isinstance(index, tuple) else (index,)
        parts = _expanded(target, [part if part is Ellipsis else _array_part(target, part) for part in given])
        return parts[0] if len(parts) == 1 and not isinstance(index, tuple) else tuple(parts)
    if isinstance(target, list):
        return _slice_of(index) if isinstance(index, slice) else _whole(index)
    if isinstance(target, dict):
        return _key(index)
    raise TypeError(f"a {type(target).__name__} has no parts to change; set it anew")


def _slice(parts: tuple[Any, ...]) -> slice:
    if not 1 <= len(parts) <= 3 or not all(map(_is_whole, parts)):
        raise IndexError(f"{parts!r:.80} is no slice: give 1 to 3 integers, or None")
    return _slice_of(slice(*parts))


def _is_whole(part: Any) -> bool:
    return part is None or isinstance(part, int | np.integer)


def _slice_of(given: slice) -> slice:
    return slice(*(None if part is None else _whole(part) for part in (given.start, given.stop, given.step)))


def _whole(part: Any) -> int:
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError(f"an index is an integer or a slice, not {_named(part)}") from None


def _named(part: Any) -> str:
    return f"{part!r:.60}" if isinstance(part, float | str | bytes) else f"a {type(part).__name__}"


def _expanded(target: "np.ndarray[Any, Any]", parts: list[Any]) -> list[Any]:
    """Return the parts of an index with `...` written out: PYON has no word for it."""
    places = [place for place, part in enumerate(parts) if part is Ellipsis]
    if not places:
        return parts
    if len(places) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    used = sum(_dimensions(part) for part in parts if part is not Ellipsis)
    if used > target.ndim:
        raise IndexError(f"too many indices: the array has {target.ndim} dimensions, {used} were indexed")
    (place,) = places
    others = [*parts[:place], *parts[place + 1 :]]
    # NumPy takes [[1]] for one element where there is an ellipsis, and not where there are ints alone.
    is_element = used == target.ndim and all(type(part) is int for part in others)
    written = [None] if is_element else [slice(None)] * (target.ndim - used)
    return [*parts[:place], *written, *parts[place + 1 :]]


def _dimensions(part: Any) -> int:
    """Return how many dimensions a part of an index takes up."""
    if part is None or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _array_part(target: "np.ndarray[Any, Any]", part: Any) -> Any:
    if part is None:
        return None
    if isinstance(part, bool | np.bool_):
        return bool(part)
    if isinstance(part, slice):
        return _slice_of(part)
    if isinstance(part, str):
        return _field(target, part)
    if isinstance(part, np.ndarray | Sequence) and not isinstance(part, bytes | bytearray | memoryview):
        if len(np.shape(part)) and all(isinstance(each, str) for each in part):
            if target.dtype.names is not None and len(part):
                return [_field(target, each) for each in part]
        return _numbers(part)
    try:
        return operator.index(part)
    except TypeError:
        return _numbers(part)


def _field(target: "np.ndarray[Any, Any]", name: str) -> str:
    if name not in (target.dtype.names or ()):
        raise IndexError(f"the array has no field {name!r}")
    return str.__str__(name)


def _numbers(part: Any) -> Any:
    """Return a sequence as an array of integers or of bools."""
    array = np.array(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        return array.astype(np.int64)
    if array.dtype != bool and array.dtype.kind not in "iu":
        raise IndexError(
            f"only integers, slices, '...', None, and integer or boolean arrays are indices, not {_named(part)}"
        )
    if array.ndim == 0:
        return array.item()
    if array.dtype == bool:
        return array
    if array.dtype == np.uint64 and array.size and int(array.max()) > _LARGEST:
        raise IndexError(f"index {int(array.max())} is out of bounds")
    return array.astype(np.int64)


def _key(given: Any) -> Any:
    if isinstance(given, np.generic):
        given = given.item()
    if isinstance(given, tuple):
        return tuple(map(_key, given))
    if type(given) not in _KEYS:
        raise TypeError(
            f"the key of a dict in a dataset is a number, a str or bytes, not a {type(given).__name__}"
        )
    return given

"""Values too large for one request, as small ones: a stock server reads 4 MiB of a request and no more.

A value is told to the agent as steps that build it there: ["open"] begins a container, ["items", […]] adds to it,
["close", kind, …] makes it a value of the container around it. `agent.assembly.Builder` takes the steps.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from rexec.wire.errors import MessageTooLong

PIECE: Final = 1 << 20
"""Most bytes of a piece as it is written on the wire: small, since a stock server answers no ping meanwhile."""

_RAW: Final = PIECE * 3 // 4 - 1024
"""Bytes that fill a piece in base64."""
_TAG: Final = 64
"""Bytes around a value that is no JSON: its name, brackets."""
_FLOAT: Final = 26
_KINDS: Final[dict[str, Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set | frozenset,
    "OrderedDict": OrderedDict,
    "dict": dict,
    "str": str,
    "bytes": bytes | bytearray | memoryview,
    "array": np.ndarray,
}


def weight(value: Any, most: float = float("inf")) -> int:
    """Return an upper bound of the bytes that a value has on the wire, in either version of PYON.

    Args:
        value: Anything that can travel; what cannot counts little.
        most: Counting ends beyond this.

    """
    if isinstance(value, str):
        # A quote takes 2 bytes, an escaped character 6, one beyond the basic plane 12.
        return len(value) * (12 if not value.isascii() else 2 if value.isprintable() else 6) + _TAG
    if isinstance(value, np.ndarray | np.generic | memoryview):
        return value.nbytes * 4 // 3 + _TAG + 32 * getattr(value, "ndim", 1)
    if isinstance(value, bytes | bytearray):
        return len(value) * 4 + _TAG  # as an escaped literal, in the old version
    if isinstance(value, int):
        return value.bit_length() // 3 + 8
    if isinstance(value, dict):
        return _sum((each for pair in value.items() for each in pair), _TAG, most)
    if isinstance(value, list | tuple | set | frozenset):
        if value and set(map(type, value)) == {float}:
            return len(value) * _FLOAT + _TAG
        return _sum(value, _TAG, most)
    if isinstance(value, Fraction):
        return weight(value.numerator) + weight(value.denominator) + _TAG
    return 2 * _TAG


def _sum(values: Iterable[Any], total: int, most: float) -> int:
    for value in values:
        total += weight(value, most - total) + 4
        if total > most:
            break
    return total


def steps(value: Any) -> Iterator[list[Any]]:
    """Yield the steps that build a value, each small enough for a request.

    Raises:
        MessageTooLong: A part is large and of a type that cannot be taken apart.

    """
    if weight(value, PIECE) <= PIECE:
        yield ["items", [value]]
        return
    kind = next((kind for kind, types in _KINDS.items() if isinstance(value, types)), None)
    if kind is None:
        raise MessageTooLong(
            f"a {type(value).__qualname__} of over {PIECE} bytes cannot be sent in pieces, which this server needs: "
            "make it there, from an array, text, list or dict"
        )
    yield ["open"]
    if kind == "array":
        yield from _slices(_octets(value), _RAW)
        yield ["close", kind, list(value.shape), value.dtype.str]
        return
    if kind == "bytes":
        # As arrays, which are base64 in both versions; bytes are an escaped literal in the old one.
        yield from _slices(np.frombuffer(value, np.uint8), _RAW)
    elif kind == "str":
        yield from _slices(value, PIECE // 12)
    else:
        yield from _batches(map(list, value.items()) if isinstance(value, dict) else value)
    yield ["close", kind]


def _octets(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, np.dtype[np.uint8]]":
    if array.dtype.hasobject:
        raise TypeError("an array of objects is not PYON encodable")
    return np.ascontiguousarray(array).ravel().view(np.uint8)


def _slices(data: Any, size: int) -> Iterator[list[Any]]:
    for start in range(0, len(data), size):
        yield ["items", [data[start : start + size]]]


def _batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    total = 0
    for value in values:
        size = weight(value, PIECE)
        if total + size > PIECE and batch:
            yield ["items", batch]
            batch, total = [], 0
        if size > PIECE:
            yield from steps(value)
        else:
            batch.append(value)
            total += size
    if batch:
        yield ["items", batch]

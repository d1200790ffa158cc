"""Values as bytes of the journal: one tag, then raw data. Nothing is evaluated when it is read.

The layout is documented in docs/explanation/journal.md. A value of a class that has no tag is written as what NumPy
makes of it (`rexec.ground.plain`); only what nothing knows is kept as its text, and read back as `Unreadable`.
"""

import struct
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

from rexec.ground.padding import without_padding
from rexec.ground.plain import MAX_DEPTH, RAW_KINDS, Converted, TooDeep, Unreadable, simpler
from rexec.results.journal._array_types import described
from rexec.wire import pyon

Buffer: TypeAlias = bytes | bytearray | memoryview

_INT: Final = struct.Struct("<cq").pack
_FLOAT: Final = struct.Struct("<cd").pack
_COMPLEX: Final = struct.Struct("<cdd").pack
_LENGTH: Final = struct.Struct("<Q")
_TAGGED: Final = struct.Struct("<cQ").pack
BIG_ENDIAN = sys.byteorder == "big"

PYON_TEXT: Final = "pyon"
"""Class of a `Converted` value whose data is PYON: of a class that was registered for it."""

MOST_EMPTY_ITEMS: Final = 2**20
"""Items of 0 bytes in one array: a few bytes must not become what fills a reader's memory."""


_NUMBER_CHARS: Final = frozenset("?bhilqBHILQefdFD")
"""Types of numbers without unused bytes."""


class TextTag(bytes):
    """The tag of a value of which only text is kept, so that a writer can say so."""

    __slots__ = ()


def encode(value: Any, deepest: int = MAX_DEPTH) -> bytes:
    """Return the bytes of a value.

    Raises:
        TooDeep: It is nested deeper than `deepest`, or holds itself.

    """
    return b"".join(encode_parts(value, MAX_DEPTH - deepest))


def encode_parts(value: Any, depth: int = 0) -> list[Buffer]:
    """Return the bytes of a value as parts to be written one after another; large arrays are not copied.

    Args:
        value: Any value.
        depth: How deep it stands in a dataset: 1 for an item that is appended.

    Raises:
        TooDeep: It is nested deeper than `MAX_DEPTH`, or holds itself.

    """
    kind = type(value)
    if kind is float:
        return [_FLOAT(b"d", value)]
    if kind is int and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return [_INT(b"i", value)]
    parts: list[Buffer] = []
    _encode(value, parts, depth)
    return parts


def _encode(value: Any, parts: list[Buffer], depth: int) -> None:
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        encoder(value, parts, depth)
    elif isinstance(value, np.generic) and value.dtype.kind in RAW_KINDS and not value.dtype.hasobject:
        _encode_raw(b"gG", np.asarray(value), parts)
    else:
        _encode(_registered(value) or simpler(value), parts, depth)


def _registered(value: Any) -> Converted | None:
    """Return an object of a class that was registered for PYON by its text."""
    if not pyon.is_registered(type(value)):
        return None
    try:
        return Converted(PYON_TEXT, pyon.encode(value))
    except (TypeError, ValueError):
        return None


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise TooDeep
    return depth + 1


def _bytes(parts: list[Buffer], data: Buffer) -> None:
    parts.append(_LENGTH.pack(len(data)))
    parts.append(data)


def _encode_int(value: int, parts: list[Buffer], _: int) -> None:
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        parts.append(_INT(b"i", value))
    else:
        parts.append(b"I")
        _bytes(parts, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def numbers_bytes(numbers: "array[Any]") -> bytes:
    """Return numbers as a journal has them: little-endian, on any machine."""
    if BIG_ENDIAN:
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _encode_sequence(value: list[Any] | tuple[Any, ...], parts: list[Buffer], depth: int) -> None:
    depth = _deeper(depth)
    is_list = type(value) is list
    kinds = set(map(type, value))
    if kinds == {float}:
        parts.append(b"D" if is_list else b"E")
        _bytes(parts, numbers_bytes(array("d", value)))
    elif kinds == {int} and -(2**63) <= min(value) and max(value) < 2**63:
        parts.append(b"Q" if is_list else b"R")
        _bytes(parts, numbers_bytes(array("q", value)))
    else:
        parts.append(_TAGGED(b"L" if is_list else b"T", len(value)))
        for item in value:
            _encode(item, parts, depth)


def _encode_dict(value: dict[Any, Any], parts: list[Buffer], depth: int) -> None:
    depth = _deeper(depth)
    parts.append(_TAGGED(b"M" if type(value) is dict else b"O", len(value)))
    for key, item in value.items():
        _encode(key, parts, depth)
        _encode(item, parts, depth)


def _encode_set(value: set[Any] | frozenset[Any], parts: list[Buffer], depth: int) -> None:
    depth = _deeper(depth)
    parts.append(_TAGGED(b"S" if type(value) is set else b"F", len(value)))
    for item in value:
        _encode(item, parts, depth)


def _encode_converted(value: Converted, parts: list[Buffer], depth: int) -> None:
    depth = _deeper(depth)
    parts.append(b"V")
    _bytes(parts, value.type_name.encode("utf-8", "surrogatepass"))
    _encode(value.data, parts, depth)
    _encode(value.beside, parts, depth)


def _encode_slice(value: slice, parts: list[Buffer], depth: int) -> None:
    depth = _deeper(depth)
    parts.append(b":")
    for part in (value.start, value.stop, value.step):
        _encode(part, parts, depth)


def _encode_fraction(value: Fraction, parts: list[Buffer], depth: int) -> None:
    parts.append(b"/")
    _encode(value.numerator, parts, depth)
    _encode(value.denominator, parts, depth)


def _encode_str(value: str, parts: list[Buffer], _: int) -> None:
    data = value.encode("utf-8", "surrogatepass")
    parts.append(_TAGGED(b"s", len(data)))
    parts.append(data)


def _encode_bytes(value: bytes, parts: list[Buffer], _: int) -> None:
    parts.append(_TAGGED(b"b", len(value)))
    parts.append(value)


def _encode_unreadable(value: Unreadable, parts: list[Buffer], _: int) -> None:
    parts.append(TextTag(b"?"))
    _bytes(parts, value.type_name.encode("utf-8", "surrogatepass"))
    _bytes(parts, value.text.encode("utf-8", "surrogatepass"))


def _encode_array(value: "np.ndarray[Any, Any]", parts: list[Buffer], depth: int) -> None:
    dtype = value.dtype
    if dtype.char in _NUMBER_CHARS and dtype.metadata is None:
        parts.append(_array_head(b"aA", dtype, value.shape))
        if value.nbytes:
            parts.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif dtype.kind in RAW_KINDS and not dtype.hasobject and (dtype.metadata is None or dtype.names):
        _encode_raw(b"aA", value, parts)
    elif dtype.kind == "O":
        depth = _deeper(depth)
        parts.append(b"o" + _dimensions(value.shape))
        for item in value.reshape(-1):
            _encode(item, parts, depth)
    else:
        _encode(simpler(value), parts, depth)


def _encode_raw(tags: bytes, value: "np.ndarray[Any, Any]", parts: list[Buffer]) -> None:
    """Write an array by its bytes; the second tag is for structures."""
    if value.dtype.itemsize == 0 and value.size > MOST_EMPTY_ITEMS:
        raise ValueError(f"an array of {value.size} items of 0 bytes is more than a reader may trust")
    contiguous = without_padding(value)
    head = _array_head if value.dtype.names is None else _record_head
    parts.append(head(tags, value.dtype, value.shape))
    if contiguous.nbytes:
        parts.append(contiguous.reshape(-1).view(np.uint8).data)


@lru_cache(maxsize=256)
def _array_head(tags: bytes, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    description = described(dtype)
    return tags[:1] + struct.pack("<H", len(description)) + description + _dimensions(shape)


@lru_cache(maxsize=64)
def _record_head(tags: bytes, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    description = described(dtype)
    return tags[1:] + _LENGTH.pack(len(description)) + description + _dimensions(shape)


def _dimensions(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<B{len(shape)}Q", len(shape), *shape)


_NUMBERS: Final = (np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
                  np.float16, np.float32, np.float64, np.complex64, np.complex128)  # fmt: skip
_NUMBER_HEADS: Final[dict[type, bytes]] = {kind: _array_head(b"gG", np.dtype(kind), ()) for kind in _NUMBERS}


def _encode_number(value: Any, parts: list[Buffer], _: int) -> None:
    parts.append(_NUMBER_HEADS[type(value)] + value.tobytes())


_ENCODERS: Final[dict[type, Callable[[Any, list[Buffer], int], None]]] = {
    float: lambda value, parts, _: parts.append(_FLOAT(b"d", value)),
    int: _encode_int,
    bool: lambda value, parts, _: parts.append(b"1" if value else b"0"),
    type(None): lambda _, parts, __: parts.append(b"N"),
    complex: lambda value, parts, _: parts.append(_COMPLEX(b"c", value.real, value.imag)),
    str: _encode_str,
    bytes: _encode_bytes,
    list: _encode_sequence,
    tuple: _encode_sequence,
    dict: _encode_dict,
    OrderedDict: _encode_dict,
    set: _encode_set,
    frozenset: _encode_set,
    slice: _encode_slice,
    type(...): lambda _, parts, __: parts.append(b"."),
    Fraction: _encode_fraction,
    np.ndarray: _encode_array,
    **dict.fromkeys(_NUMBERS, _encode_number),
    Converted: _encode_converted,
    Unreadable: _encode_unreadable,
}

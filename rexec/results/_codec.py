"""Values as bytes of the journal: one tag, then raw data. Nothing is evaluated when it is read.

The layout is documented in docs/explanation/journal.md. What has no tag of its own is kept as PYON text; what
PYON does not know either as the text of its `repr`, which is read back as `Unreadable`.
"""

import json
import struct
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

from rexec.wire import pyon

Buffer: TypeAlias = bytes | bytearray | memoryview

_INT: Final = struct.Struct("<cq").pack
_FLOAT: Final = struct.Struct("<cd").pack
_COMPLEX: Final = struct.Struct("<cdd").pack
_LENGTH: Final = struct.Struct("<Q")
_TAGGED: Final = struct.Struct("<cQ").pack
BIG_ENDIAN = sys.byteorder == "big"
MAX_DEPTH: Final = 200
"""Deepest nesting that is written by tags; deeper ones (or values that hold themselves) are kept as text."""


@dataclass(frozen=True)
class Unreadable:
    """A value of a class that neither HDF5 nor PYON knows: only its text was kept."""

    text: str
    type_name: str


class TextTag(bytes):
    """The tag of a value of which only text is kept, so that a writer can say so."""

    __slots__ = ()


_TEXT: Final = TextTag(b"?")


def encode(value: Any) -> bytes:
    """Return the bytes of a value."""
    return b"".join(encode_parts(value))


def encode_parts(value: Any) -> list[Buffer]:
    """Return the bytes of a value as parts to be written one after another; large arrays are not copied."""
    kind = type(value)
    if kind is float:
        return [_FLOAT(b"d", value)]
    if kind is int and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return [_INT(b"i", value)]
    parts: list[Buffer] = []
    _encode(value, parts, 0)
    return parts


def _as_text(value: Any) -> list[Buffer]:
    parts: list[Buffer] = [_TEXT]
    try:
        text = repr(value)
    except Exception as error:  # a class may fail in any way to print itself
        text = f"<{type(value).__qualname__} whose repr failed: {error}>"
    _bytes(parts, f"{type(value).__module__}.{type(value).__qualname__}".encode("utf-8", "surrogatepass"))
    _bytes(parts, text[:1_000_000].encode("utf-8", "surrogatepass"))
    return parts


def _bytes(parts: list[Buffer], data: Buffer) -> None:
    parts.append(_LENGTH.pack(len(data)))
    parts.append(data)


def _encode(value: Any, parts: list[Buffer], depth: int) -> None:
    if depth > MAX_DEPTH:
        parts += _as_text(value)
        return
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        encoder(value, parts, depth)
    elif isinstance(value, np.generic):
        _encode_numpy(b"g", np.asarray(value), parts)
    elif isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        # A record array, a matrix, a part of a file: the same numbers.
        _encode_numpy(b"a", np.asarray(value), parts)
    else:
        try:
            text = pyon.encode(value).encode("ascii")
        except Exception:  # a class of any sort may fail in any way when it is looked at
            parts += _as_text(value)
        else:
            parts.append(b"P")
            _bytes(parts, text)


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
            _encode(item, parts, depth + 1)


def _encode_dict(value: dict[Any, Any], parts: list[Buffer], depth: int) -> None:
    parts.append(_TAGGED(b"M" if type(value) is dict else b"O", len(value)))
    for key, item in value.items():
        _encode(key, parts, depth + 1)
        _encode(item, parts, depth + 1)


def _encode_set(value: set[Any], parts: list[Buffer], depth: int) -> None:
    parts.append(_TAGGED(b"S", len(value)))
    for item in value:
        _encode(item, parts, depth + 1)


def _encode_slice(value: slice, parts: list[Buffer], depth: int) -> None:
    parts.append(b":")
    for part in (value.start, value.stop, value.step):
        _encode(part, parts, depth + 1)


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


def _encode_numpy(tag: bytes, value: "np.ndarray[Any, Any]", parts: list[Buffer]) -> None:
    if value.dtype.hasobject:
        parts += _as_text(value)
        return
    contiguous = np.ascontiguousarray(value).reshape(value.shape)
    if value.dtype.char in "gG" and np.finfo(np.longdouble).nmant == 63:
        # An x87 number is 10 bytes in 12 or 16, of which the others hold whatever was there.
        contiguous = contiguous.copy()
        numbers = contiguous.reshape(-1).view(np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize)
        numbers[:, 10:] = 0
    head = _array_head(tag, value.dtype, value.shape)
    parts.append(head)
    if contiguous.nbytes:
        parts.append(contiguous.reshape(-1).view(np.uint8).data)


@lru_cache(maxsize=256)
def _array_head(tag: bytes, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    description = json.dumps(np.lib.format.dtype_to_descr(dtype)).encode("ascii")
    dimensions = struct.pack(f"<B{len(shape)}Q", len(shape), *shape)
    return tag + struct.pack("<H", len(description)) + description + dimensions


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
    slice: _encode_slice,
    Fraction: _encode_fraction,
    np.ndarray: lambda value, parts, _: _encode_numpy(b"a", value, parts),
    Unreadable: lambda value, parts, _: parts.extend(_unreadable(value)),
}


def _unreadable(value: Unreadable) -> list[Buffer]:
    parts: list[Buffer] = [b"?"]
    _bytes(parts, value.type_name.encode("utf-8", "surrogatepass"))
    _bytes(parts, value.text.encode("utf-8", "surrogatepass"))
    return parts

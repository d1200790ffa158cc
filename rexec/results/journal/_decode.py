"""Bytes of the journal back to values; a value that is not whole or not well formed is a ValueError."""

import math
import struct
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np

from rexec.ground.plain import Converted, Unreadable, type_name
from rexec.results.journal import _encode
from rexec.results.journal._array_types import dtype_of
from rexec.results.journal._encode import MOST_EMPTY_ITEMS
from rexec.wire import pyon

_FLOAT: Final = struct.Struct("<d").unpack_from
_INT: Final = struct.Struct("<q").unpack_from
_LENGTH: Final = struct.Struct("<Q").unpack_from
_Reader: TypeAlias = Callable[[memoryview, int, int], tuple[Any, int]]

_ERRORS: Final = (TypeError, IndexError, KeyError, struct.error, OverflowError, MemoryError, RecursionError)
DEEPEST: Final = 202
"""What earlier versions wrote was nested up to so deeply; `MAX_DEPTH` is what is written today."""


def decode(data: bytes | memoryview, offset: int = 0) -> tuple[Any, int]:
    """Return the value that begins at `offset`, and the offset behind it.

    Raises:
        ValueError: There is no whole value.

    """
    try:
        return _decode(memoryview(data), offset, 0)
    except _ERRORS as error:
        raise ValueError(f"no value of a journal at byte {offset}: {error}") from error


def _decode(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
    tag = data[offset]
    if tag == 0x64:  # d
        return _FLOAT(data, offset + 1)[0], offset + 9
    if tag == 0x69:  # i
        return _INT(data, offset + 1)[0], offset + 9
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    return _DECODERS[tag](data, offset + 1, depth)


def _chunk(data: memoryview, offset: int) -> tuple[memoryview, int]:
    (length,) = _LENGTH(data, offset)
    end = offset + 8 + length
    if end > len(data):
        raise ValueError(f"{length} bytes are announced, {len(data) - offset - 8} are there")
    return data[offset + 8 : end], end


def _text(data: memoryview, offset: int) -> tuple[str, int]:
    chunk, end = _chunk(data, offset)
    return str(chunk, "utf-8", "surrogatepass"), end


def _big_int(data: memoryview, offset: int, _: int) -> tuple[int, int]:
    chunk, end = _chunk(data, offset)
    return int.from_bytes(chunk, "little", signed=True), end


def _packed(code: str, make: type) -> _Reader:
    def read(data: memoryview, offset: int, _: int) -> tuple[Any, int]:
        chunk, end = _chunk(data, offset)
        numbers = array(code)
        numbers.frombytes(chunk)
        if _encode.BIG_ENDIAN:
            numbers.byteswap()
        return make(numbers), end

    return read


def _items(data: memoryview, offset: int, depth: int, each: int = 1) -> tuple[list[Any], int]:
    (count,) = _LENGTH(data, offset)
    if count * each > len(data) - offset:
        raise ValueError(f"{count} items cannot fit into {len(data) - offset} bytes")
    offset += 8
    items = []
    for _ in range(count * each):
        item, offset = _decode(data, offset, depth + 1)
        items.append(item)
    return items, offset


def _collection(make: Callable[[list[Any]], Any]) -> _Reader:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        items, end = _items(data, offset, depth)
        return make(items), end

    return read


def _set(make: Callable[[Iterable[Any]], Any]) -> _Reader:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        items, end = _items(data, offset, depth)
        found: dict[Any, None] = {}
        for item in items:
            found[_key(item, found)] = None
        return make(found), end

    return read


def _mapping(make: type[dict[Any, Any]]) -> _Reader:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        items, end = _items(data, offset, depth, each=2)
        found = make()
        for position in range(0, len(items), 2):
            found[_key(items[position], found)] = items[position + 1]
        return found, end

    return read


def _key(item: Any, taken: dict[Any, Any]) -> Any:
    """Return an item as a key that is not taken: an object's plain value may equal another's, or be no key at all."""
    try:
        is_free = item not in taken
    except TypeError:
        is_free = False
    return item if is_free else Converted(type_name(item), item)


def _converted(data: memoryview, offset: int, depth: int) -> tuple[Converted, int]:
    name, offset = _text(data, offset)
    value, offset = _decode(data, offset, depth + 1)
    beside, offset = _decode(data, offset, depth + 1)
    if type(beside) is not dict or not all(type(part) is str for part in beside):
        raise ValueError("what is beside a converted value is no dict of names")
    return Converted(name, value, beside), offset


def _slice(data: memoryview, offset: int, depth: int) -> tuple[slice, int]:
    parts: list[Any] = []
    for _ in range(3):
        part, offset = _decode(data, offset, depth + 1)
        parts.append(part)
    return slice(*parts), offset


def _fraction(data: memoryview, offset: int, depth: int) -> tuple[Fraction, int]:
    numerator, offset = _decode(data, offset, depth + 1)
    denominator, offset = _decode(data, offset, depth + 1)
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("no fraction")
    return Fraction(numerator, denominator), offset


def _str(data: memoryview, offset: int, _: int) -> tuple[str, int]:
    return _text(data, offset)


def _bytes(data: memoryview, offset: int, _: int) -> tuple[bytes, int]:
    chunk, end = _chunk(data, offset)
    return bytes(chunk), end


def _complex(data: memoryview, offset: int, _: int) -> tuple[complex, int]:
    return complex(*struct.unpack_from("<dd", data, offset)), offset + 16


def _pyon(data: memoryview, offset: int, _: int) -> tuple[Any, int]:
    text, end = _text(data, offset)
    return pyon.decode(text), end


def _unreadable(data: memoryview, offset: int, _: int) -> tuple[Unreadable, int]:
    type_name, offset = _text(data, offset)
    text, offset = _text(data, offset)
    return Unreadable(text, type_name), offset


def _array(data: memoryview, offset: int, _: int) -> tuple[Any, int]:
    (length,) = struct.unpack_from("<H", data, offset)
    dtype = dtype_of(bytes(data[offset + 2 : offset + 2 + length]))
    return _raw(data, offset + 2 + length, dtype)


def _records(data: memoryview, offset: int, _: int) -> tuple[Any, int]:
    chunk, offset = _chunk(data, offset)
    return _raw(data, offset, dtype_of(bytes(chunk)))


def _raw(data: memoryview, offset: int, dtype: "np.dtype[Any]") -> tuple[Any, int]:
    shape, offset = _shape(data, offset)
    count = math.prod(shape)
    end = offset + count * dtype.itemsize
    if end > len(data):
        raise ValueError(
            f"an array of {count * dtype.itemsize} bytes is announced, {len(data) - offset} are there"
        )
    if dtype.itemsize == 0 and count > MOST_EMPTY_ITEMS:
        raise ValueError(f"{count} items of 0 bytes")
    value = np.empty(shape, dtype)
    if value.nbytes:
        value.reshape(-1).view(np.uint8)[:] = np.frombuffer(data[offset:end], np.uint8)
    return value, end


def _shape(data: memoryview, offset: int) -> tuple[tuple[int, ...], int]:
    shape = struct.unpack_from(f"<{data[offset]}Q", data, offset + 1)
    return shape, offset + 1 + 8 * len(shape)


def _objects(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
    shape, offset = _shape(data, offset)
    count = math.prod(shape)
    if count > len(data) - offset:
        raise ValueError(f"{count} objects cannot fit into {len(data) - offset} bytes")
    value = np.empty(shape, object)
    flat = value.reshape(-1)
    for number in range(count):
        item, offset = _decode(data, offset, depth + 1)
        flat[number] = item
    return value, offset


def _scalar(array: _Reader) -> _Reader:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        value, end = array(data, offset, depth)
        return value[()], end

    return read


_DECODERS: Final[dict[int, _Reader]] = {
    ord(tag): reader
    for tag, reader in {
        "N": lambda _, offset, __: (None, offset),
        "0": lambda _, offset, __: (False, offset),
        "1": lambda _, offset, __: (True, offset),
        "I": _big_int,
        "c": _complex,
        "s": _str,
        "b": _bytes,
        "D": _packed("d", list),
        "E": _packed("d", tuple),
        "Q": _packed("q", list),
        "R": _packed("q", tuple),
        "L": _collection(list),
        "T": _collection(tuple),
        "S": _set(set),
        "F": _set(frozenset),
        "M": _mapping(dict),
        "O": _mapping(OrderedDict),
        ":": _slice,
        "/": _fraction,
        "a": _array,
        "g": _scalar(_array),
        "A": _records,
        "G": _scalar(_records),
        "o": _objects,
        "V": _converted,
        ".": lambda _, offset, __: (..., offset),
        "P": _pyon,
        "?": _unreadable,
    }.items()
}

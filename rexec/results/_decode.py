"""Bytes of the journal back to values; a value that is not whole or not well formed is a ValueError."""

import json
import struct
from array import array
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np

from rexec.results import _codec
from rexec.results._codec import MAX_DEPTH, Unreadable
from rexec.wire import pyon

_FLOAT: Final = struct.Struct("<d").unpack_from
_INT: Final = struct.Struct("<q").unpack_from
_LENGTH: Final = struct.Struct("<Q").unpack_from


def decode(data: bytes | memoryview, offset: int = 0) -> tuple[Any, int]:
    """Return the value that begins at `offset`, and the offset behind it.

    Raises:
        ValueError: There is no whole value.

    """
    try:
        return _decode(memoryview(data), offset, 0)
    except (TypeError, IndexError, KeyError, struct.error, OverflowError, MemoryError) as error:
        raise ValueError(f"no value of a journal at byte {offset}: {error}") from error


def _decode(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
    tag = data[offset]
    if tag == 0x64:  # d
        return _FLOAT(data, offset + 1)[0], offset + 9
    if tag == 0x69:  # i
        return _INT(data, offset + 1)[0], offset + 9
    if depth > MAX_DEPTH + 2:
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


def _packed(code: str, make: type) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    def read(data: memoryview, offset: int, _: int) -> tuple[Any, int]:
        chunk, end = _chunk(data, offset)
        numbers = array(code)
        numbers.frombytes(chunk)
        if _codec.BIG_ENDIAN:
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


def _collection(make: Callable[[list[Any]], Any]) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        items, end = _items(data, offset, depth)
        return make(items), end

    return read


def _mapping(make: type[dict[Any, Any]]) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    def read(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
        items, end = _items(data, offset, depth, each=2)
        return make(zip(items[::2], items[1::2], strict=True)), end

    return read


def _slice(data: memoryview, offset: int, depth: int) -> tuple[slice, int]:
    start, offset = _decode(data, offset, depth + 1)
    stop, offset = _decode(data, offset, depth + 1)
    step, offset = _decode(data, offset, depth + 1)
    return slice(start, stop, step), offset


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
    dtype = _dtype(bytes(data[offset + 2 : offset + 2 + length]))
    offset += 2 + length
    shape = struct.unpack_from(f"<{data[offset]}Q", data, offset + 1)
    offset += 1 + 8 * len(shape)
    count = 1
    for size in shape:
        count *= size
    end = offset + count * dtype.itemsize
    if end > len(data):
        raise ValueError(
            f"an array of {count * dtype.itemsize} bytes is announced, {len(data) - offset} are there"
        )
    value = np.empty(shape, dtype)
    if value.nbytes:
        value.reshape(-1).view(np.uint8)[:] = np.frombuffer(data[offset:end], np.uint8)
    return value, end


def _scalar(data: memoryview, offset: int, depth: int) -> tuple[Any, int]:
    value, end = _array(data, offset, depth)
    return value[()], end


@lru_cache(maxsize=256)
def _dtype(description: bytes) -> "np.dtype[Any]":
    def tuples(part: Any) -> Any:
        # JSON has no tuples: the fields of a structure are one, and so are the dimensions of a field.
        return [tuple(map(inner, field)) for field in part] if isinstance(part, list) else part

    def inner(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(part) if all(isinstance(size, int) for size in part) else tuples(part)
        return part

    return np.lib.format.descr_to_dtype(tuples(json.loads(description)))


_DECODERS: Final[dict[int, Callable[[memoryview, int, int], tuple[Any, int]]]] = {
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
        "S": _collection(set),
        "M": _mapping(dict),
        "O": _mapping(OrderedDict),
        ":": _slice,
        "/": _fraction,
        "a": _array,
        "g": _scalar,
        "P": _pyon,
        "?": _unreadable,
    }.items()
}

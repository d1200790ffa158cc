"""Messages of the server to a browser: a JSON header, then arrays as raw bytes (docs/reference/web-protocol.md)."""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson

from devicedb.printable import LINES, printable
from rexec.ground.quantities import integer

ALIGNMENT: Final = 8
"""Arrays begin at multiples of this, so that a browser can look at them without a copy."""

_SENDABLE: Final = {"|u1", "<u2", "<u4", "<i2", "<i4", "<f4", "<f8"}
"""Types that a browser has a typed array for; all others are sent as float64."""


def sendable(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return real numbers in a type that browsers have."""
    if array.dtype.str in _SENDABLE:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array, np.uint8)
    return np.ascontiguousarray(array, "<f8")


def frame(header: dict[str, Any], arrays: Sequence["np.ndarray[Any, Any]"] = ()) -> bytes:
    """Return a message.

    Args:
        header: What JSON can hold; NaN becomes null, and what is in no JSON its text. `arrays` is added: type, shape
            and place of each array.
        arrays: Arrays that `sendable` has returned.

    """
    listed, at = [], 0
    for array in arrays:
        listed.append([array.dtype.str[1:], list(array.shape), at])
        at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    try:
        text = orjson.dumps({**header, "arrays": listed}, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # one odd fact costs itself, and not the message
        text = orjson.dumps({**_plain(header), "arrays": listed})
    text += b" " * (-(len(text) + 4) % ALIGNMENT)
    parts = [struct.pack("<I", len(text)), text]
    for array in arrays:
        parts += [array.tobytes(), bytes(-array.nbytes % ALIGNMENT)]
    return b"".join(parts)


def _plain(value: Any) -> Any:
    """Return a value in which JSON can hold everything: whole numbers of over 64 bits and odd objects become text."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else integer(value)
    return printable(value if isinstance(value, str) else f"<{type(value).__name__}>", keep=LINES)

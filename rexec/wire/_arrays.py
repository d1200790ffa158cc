"""NumPy arrays and scalars as (shape, dtype string, bytes), checked on the way in."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pybase64

Buffer = bytes | bytearray | memoryview

# Plain data only. Object and structured dtypes are not in the grammar: they could name pickled or nested things.
_DTYPE: Final = re.compile(
    r"[<>|=](?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SUV][0-9]{1,9}|[Mm]8(?:\[[0-9a-zA-Z/]{1,24}\])?)"
)
_MAX_DIMENSIONS: Final = 64
"""As many as NumPy has; the product of a hundred thousand large lengths takes minutes."""
_FEW: Final = 1000
_SAME_HASH: Final = 100


def dtype_from(text: Any) -> "np.dtype[Any]":
    """Return the dtype of a wire name such as "<f8".

    Raises:
        ValueError: It is not a name of plain data.

    """
    if not isinstance(text, str) or _DTYPE.fullmatch(text) is None:
        raise ValueError(f"{text!r:.60} is not a dtype of plain data")
    try:
        return np.dtype(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r:.60} is not a dtype here: {error}") from error


def flat(array: "np.ndarray[Any, Any]") -> memoryview:
    """Return the C-contiguous bytes of an array, without a copy where it is contiguous already.

    Raises:
        TypeError: The array's items are objects.

    """
    if array.dtype.hasobject:
        raise TypeError("arrays of objects are not PYON encodable")
    if array.ndim and not array.dtype.itemsize:
        raise TypeError("arrays whose items have no bytes are not PYON encodable")
    contiguous = np.ascontiguousarray(array)
    return contiguous.reshape(-1).view(np.uint8).data if contiguous.nbytes else memoryview(b"")


def array_from(shape: Any, dtype: Any, data: Buffer) -> "np.ndarray[Any, Any]":
    """Return a writable, aligned array over the bytes (copied when they are read-only).

    Args:
        shape: Sequence of lengths.
        dtype: Name as in `numpy.dtype.str`.
        data: C-contiguous bytes; must be as many as shape and dtype say.

    Raises:
        ValueError: Shape, dtype and length do not fit each other.

    """
    kind = dtype_from(dtype)
    if not kind.itemsize:
        # NumPy makes items of at least one character out of them: memory that nobody has sent.
        raise ValueError(f"an array of {dtype}, whose items have no bytes")
    if not isinstance(shape, list | tuple) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"{shape!r:.60} is not a shape")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"{shape!r:.60} is not a shape")
    size = len(data)
    if math.prod(shape) * kind.itemsize != size:
        raise ValueError(f"{size} bytes are no array of shape {tuple(shape)!r:.60} and dtype {dtype}")
    try:
        if size == 0:
            return np.zeros(tuple(shape), kind)
        whole = memoryview(data)
        if whole.readonly:
            whole = memoryview(bytearray(whole))
        result = np.frombuffer(whole, np.uint8).view(kind).reshape(tuple(shape))
    except (ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"no array of shape {tuple(shape)!r:.60} and dtype {dtype}: {error}") from error
    return result if result.flags.aligned else result.copy()


def scalar_from(dtype: Any, data: Buffer) -> Any:
    """Return a NumPy scalar of the bytes.

    Raises:
        ValueError: Dtype and length do not fit each other.

    """
    kind = dtype_from(dtype)
    if not kind.itemsize and not len(data):
        return kind.type(b"" if kind.kind in "SV" else "")
    return array_from((), dtype, data)[()]


def scalar_bytes(scalar: "np.generic") -> bytes:
    """Return the bytes of a NumPy scalar; NumPy itself gives an empty text a byte that its dtype does not have."""
    return scalar.tobytes() if scalar.dtype.itemsize else b""


def spread(keys: Sequence[Any]) -> Sequence[Any]:
    """Return the future items of a set or keys of a dict, unless they would take quadratic time.

    Text is safe, because Python hashes it with a secret. Numbers are not: anyone can find many with one hash.

    Raises:
        ValueError: Too many of them have one hash.

    """
    if len(keys) > _FEW and max(Counter(map(hash, keys)).values()) > _SAME_HASH:
        raise ValueError(f"over {_SAME_HASH} of {len(keys)} values have one hash")
    return keys


def spread_pairs(pairs: Sequence[Any]) -> Sequence[Any]:
    """Return the items of a dict to be, unless it would take too long to make; errors as of `spread`."""
    if len(pairs) > _FEW:
        spread([pair[0] for pair in pairs if isinstance(pair, list | tuple) and pair])
    return pairs


def from_base64(text: Any) -> bytearray:
    """Return the bytes of strict base64, for an array to stand on.

    Raises:
        ValueError: It is not base64.

    """
    return pybase64.b64decode_as_bytearray(_checked(text), validate=True)


def bytes_from_base64(text: Any) -> bytes:
    """Return the bytes of strict base64, for good.

    Raises:
        ValueError: It is not base64.

    """
    return pybase64.b64decode(_checked(text), validate=True)


def _checked(text: Any) -> str | Buffer:
    if not isinstance(text, str | bytes | bytearray | memoryview):
        raise ValueError(f"expected base64, found {type(text).__name__}")
    return text

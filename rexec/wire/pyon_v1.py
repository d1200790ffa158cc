"""PYON v1, the encoding of peers before sipyco 1.10 and of older files: an expression in Python's syntax.

The grammar is closed and parsed here; nothing is evaluated. One regular expression cuts the text into tokens, so
that a base64 literal of any size costs one step.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pybase64

from devicedb.whole_file import write_whole
from rexec.wire._arrays import flat, scalar_bytes
from rexec.wire._pieces import Base64, Piece
from rexec.wire._pyon_encode import MAX_DEPTH, Refused, json_string, locate
from rexec.wire._pyon_v1_parser import parse

__all__ = ["check", "decode", "encode", "load_file", "store_file"]

_SCALARS: Final = (
    np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
    np.float16, np.float32, np.float64, np.complex64, np.complex128,
)  # fmt: skip


def encode(x: Any, pretty: bool = False) -> str:
    """Return a value as text.

    Args:
        x: The value; an empty set becomes an empty dict, as with every peer of this version.
        pretty: Put dict items on lines of their own, indented.

    Raises:
        TypeError: A part of the value has no encoding; the text names its path.
        ValueError: The value is nested too deeply (or contains itself).

    """
    return b"".join(map(bytes, encode_pieces(x, "value", pretty=pretty))).decode("ascii")


def check(x: Any) -> None:
    """Raise where a value cannot be encoded. Large arrays are not encoded for it.

    Raises:
        TypeError, ValueError: As `encode`.

    """
    encode_pieces(x, "value")


def decode(s: str | bytes | bytearray | memoryview) -> Any:
    """Return the value of a text made by `encode`.

    Raises:
        TypeError: A constructor's arguments make no such value.
        ValueError: It is not PYON v1, or nested too deeply.

    """
    return parse(
        s.encode("utf-8", "surrogatepass")
        if isinstance(s, str)
        else bytes(s)
        if isinstance(s, memoryview)
        else s
    )


def store_file(filename: str | os.PathLike[str], x: Any) -> None:
    """Write a value into a file, whole or not at all.

    Args:
        filename: Path of the file; it is replaced in one step.
        x: The value.

    Raises:
        TypeError: As `encode`.
        OSError: The file cannot be written.

    """
    write_whole(Path(filename), encode(x, pretty=True).encode("ascii") + b"\n")


def load_file(filename: str | os.PathLike[str]) -> Any:
    """Return the value in a file, as peers before sipyco 1.10 write it (`dataset_db.pyon`).

    Raises:
        OSError: The file cannot be read.
        TypeError: As `decode`.
        ValueError: As `decode`.

    """
    return decode(Path(filename).read_bytes())


def encode_pieces(x: Any, root: str, *, pretty: bool = False) -> list[Piece]:
    """Return the text as pieces to be sent one after another, large buffers uncopied.

    Args:
        x: The value.
        root: What the value is called in errors.
        pretty: As in `encode`.

    """
    writer = _Writer(pretty=pretty)
    try:
        writer.write(x, 0)
    except RecursionError:
        raise ValueError(f"{root} is nested deeper than {MAX_DEPTH} levels") from None
    except TypeError as error:
        path, reason = locate(x, root, error, lambda part: _Writer(pretty=False).write(part, 0))
        raise TypeError(f"{path}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{root}: {error}") from error
    return writer.pieces


class _Writer:
    def __init__(self, *, pretty: bool) -> None:
        self.pieces: list[Piece] = []
        self._pretty = pretty

    def _put(self, text: str) -> None:
        self.pieces.append(text.encode("ascii"))

    def write(self, x: Any, depth: int) -> None:
        """Append the text of a value."""
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if x is None or isinstance(x, bool):
            self._put({None: "null", True: "true", False: "false"}[x])
        elif isinstance(x, str) and not isinstance(x, np.generic):
            self._put(json_string(x))
        elif isinstance(x, _SCALARS):
            self._put(f'npscalar("{x.dtype.str}", b"{pybase64.b64encode_as_string(scalar_bytes(x))}")')
        elif isinstance(x, int):
            self._put(int.__repr__(x))
        elif isinstance(x, float):
            self._put(float.__repr__(x))
        elif isinstance(x, complex) and not isinstance(x, np.generic):
            self._put(complex.__repr__(x))
        elif isinstance(x, bytes | bytearray) and not isinstance(x, np.generic):
            self._put(repr(bytes(x)))
        elif isinstance(x, list | tuple | set | frozenset):
            self._sequence(x, depth)
        elif isinstance(x, dict):
            self._dict(x, depth)
        elif isinstance(x, slice):
            self._slice(x, depth)
        elif isinstance(x, Fraction):
            self._call("Fraction", [x.numerator, x.denominator], depth)
        elif isinstance(x, np.ndarray) and not isinstance(x, np.ma.MaskedArray):
            self._put("nparray(")
            self.write(x.shape, depth + 1)
            self._put(f', "{x.dtype.str}", b"')
            self.pieces.append(Base64(flat(x)))
            self._put('")')
        else:
            raise Refused(f"`{x!r:.200}` ({type(x)}) is not PYON v1 encodable")

    def _sequence(self, x: Iterable[Any], depth: int) -> None:
        items = list(x)
        opening, closing = (
            ("[", "]") if isinstance(x, list) else ("(", ")") if isinstance(x, tuple) else ("{", "}")
        )
        self._put(opening)
        self._items(items, depth)
        if opening == "(" and len(items) == 1:
            self._put(", ")
        self._put(closing)

    def _items(self, items: Iterable[Any], depth: int) -> None:
        for index, item in enumerate(items):
            if index:
                self._put(", ")
            self.write(item, depth + 1)

    def _call(self, name: str, arguments: Iterable[Any], depth: int) -> None:
        self._put(f"{name}(")
        self._items(arguments, depth)
        self._put(")")

    def _slice(self, x: slice, depth: int) -> None:
        self._put("slice(")
        for index, part in enumerate((x.start, x.stop, x.step)):
            if index:
                self._put(", ")
            # Here alone peers write None as Python does.
            if part is None:
                self._put("None")
            else:
                self.write(part, depth + 1)
        self._put(")")

    def _dict(self, x: dict[Any, Any], depth: int) -> None:
        if isinstance(x, OrderedDict):
            self._call("OrderedDict", [list(x.items())], depth)
            return
        margin = "\n" + "    " * (depth + 1) if self._pretty and x else ""
        self._put("{" + margin)
        for index, (key, value) in enumerate(x.items()):
            if index:
                self._put("," + margin if margin else ", ")
            self.write(key, depth + 1)
            self._put(": ")
            self.write(value, depth + 1)
        self._put(("\n" + "    " * depth if margin else "") + "}")

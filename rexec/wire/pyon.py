"""PYON v2, the encoding of values on the wire and in files: JSON, with tagged objects for what JSON lacks.

`encode` and `decode` have the meaning that they have in the reference library. Decoding evaluates nothing:
a tag that is not registered is a TypeError.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rexec.whole_file import write_whole
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_encode import encode_text
from rexec.wire._pyon_types import deregister_types, register_types

__all__ = ["decode", "deregister", "encode", "load_file", "register", "store_file"]


def encode(x: Any, pretty: bool = False) -> str:
    """Return a value as one line of ASCII text.

    Args:
        x: The value: None, bool, int, float, complex, str, bytes, tuple, list, set, dict, slice, Fraction, NumPy
            arrays and scalars, registered types, and any nesting of them.
        pretty: Use several indented lines.

    Raises:
        TypeError: A part of the value has no encoding; the text names its path.
        ValueError: The value is nested too deeply (or contains itself).

    """
    return encode_text(x, pretty=pretty)


def decode(s: str | bytes | bytearray | memoryview) -> Any:
    """Return the value of a text made by `encode`.

    Raises:
        TypeError: A tag in it is unknown, or its arguments make no such value.
        ValueError: It is not PYON, or nested too deeply.

    """
    return decode_line(s)


def register(
    types: Iterable[type],
    *,
    name: str,
    encode: Callable[[Any], Iterable[Any]],
    decode: Callable[..., Any],
) -> None:
    """Make further types encodable, under one name.

    Args:
        types: Classes whose instances (not those of subclasses) are encoded.
        name: Tag on the wire.
        encode: From an instance to the sequence of arguments that `decode` needs.
        decode: From these arguments to an instance.

    Raises:
        ValueError: The name or a type is taken already.

    """
    register_types(tuple(types), name, encode, decode)


def deregister(types: Iterable[type], name: str) -> None:
    """Undo `register`.

    Raises:
        KeyError: They were not registered.

    """
    deregister_types(tuple(types), name)


def store_file(filename: str | os.PathLike[str], x: Any) -> None:
    """Write a value into a file, whole or not at all.

    Args:
        filename: Path of the file; it is replaced in one step.
        x: The value.

    Raises:
        TypeError: As `encode`.
        OSError: The file cannot be written.

    """
    write_whole(Path(filename), encode_text(x, pretty=True).encode("ascii") + b"\n")


def load_file(filename: str | os.PathLike[str]) -> Any:
    """Return the value in a file.

    Raises:
        OSError: The file cannot be read.
        TypeError: As `decode`.
        ValueError: As `decode`.

    """
    return decode_line(Path(filename).read_bytes())

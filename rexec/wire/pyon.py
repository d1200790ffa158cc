"""PYON v2, the encoding of values on the wire and in files: JSON, with tagged objects for what JSON lacks.

`encode` and `decode` have the meaning that they have in the reference library. Decoding evaluates nothing:
a tag that is not registered is a TypeError.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from devicedb.whole_file import write_whole
from rexec.wire._pyon_decode import decode_json, decode_line
from rexec.wire._pyon_encode import RawLine, encode_text
from rexec.wire._pyon_types import BY_TYPE, deregister_types, register_types

__all__ = [
    "check",
    "decode",
    "deregister",
    "encode",
    "is_registered",
    "load_file",
    "register",
    "store_file",
    "wrap",
]


def encode(x: Any, pretty: bool = False, **kw: Any) -> str:
    """Return a value as one line of ASCII text.

    Args:
        x: The value: None, bool, int, float, complex, str, bytes, tuple, list, set, dict, slice, Fraction, NumPy
            arrays and scalars, registered types, and any nesting of them.
        pretty: Use several indented lines.
        kw: Options of `json.dumps` for the JSON text, such as `sort_keys`.

    Raises:
        TypeError: A part of the value has no encoding; the text names its path.
        ValueError: The value is nested too deeply (or contains itself).

    """
    text = encode_text(x, pretty=pretty)
    if not kw:
        return text
    form: dict[str, Any] = {"indent": 4} if pretty else {"separators": (",", ":")}
    return json.dumps(json.loads(text), **form, **kw)


def decode(s: str | bytes | bytearray | memoryview, **kw: Any) -> Any:
    """Return the value of a text made by `encode`.

    Args:
        s: The text.
        kw: Options of `json.loads` for the JSON text, such as `parse_float`; not `object_hook`.

    Raises:
        TypeError: A tag in it is unknown, or its arguments make no such value.
        json.JSONDecodeError: It is no JSON.
        ValueError: It is not PYON, or nested too deeply.

    """
    return decode_json(bytes(s) if isinstance(s, memoryview) else s, kw) if kw else decode_line(s)


def wrap(o: Any) -> Any:
    """Return a value of a registered type's `encode` as it is: ours needs no preparation of inner values.

    Args:
        o: The value.

    """
    return o


def check(x: Any) -> None:
    """Raise where a value cannot be encoded, or could not be decoded again. Large arrays are not encoded for it.

    Raises:
        TypeError, ValueError: As `encode` and `decode`; a set in a set, or as a key, is encoded but not decoded.

    """
    line = RawLine()
    text = line.json(x, "value")
    decode_line(text, line.kept)


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

    Args:
        types: The classes.
        name: Name that they were registered under.

    Raises:
        KeyError: They were not registered.

    """
    deregister_types(tuple(types), name)


def is_registered(kind: type) -> bool:
    """Return whether a class, `kind`, was registered."""
    return kind in BY_TYPE


def store_file(filename: str | os.PathLike[str], x: Any, **kw: Any) -> None:
    """Write a value into a file, whole or not at all.

    Args:
        filename: Path of the file; it is replaced in one step.
        x: The value.
        kw: As `encode`.

    Raises:
        TypeError: As `encode`.
        OSError: The file cannot be written.

    """
    write_whole(Path(filename), encode(x, pretty=True, **kw).encode("utf-8") + b"\n")


def load_file(filename: str | os.PathLike[str], **kw: Any) -> Any:
    """Return the value in a file.

    Args:
        filename: Path of the file.
        kw: As `decode`.

    Raises:
        OSError: The file cannot be read.
        TypeError: As `decode`.
        ValueError: As `decode`.

    """
    return decode(Path(filename).read_bytes(), **kw)

"""From a value to PYON v2: first to what JSON has (`Simplifier`), then to text, large buffers kept apart.

A large array is not copied into the text: a `Line` becomes a list of pieces to be sent one after another.
"""

import json
import math
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
import orjson
import pybase64

from rexec.wire import _pyon_types
from rexec.wire._arrays import flat, scalar_bytes
from rexec.wire._pieces import Base64, Piece

MAX_DEPTH: Final = 300
"""Deepest nesting of a value; more is refused on both sides."""

INLINE_LIMIT: Final = 2048
"""Buffers up to this many bytes go into the text, which is faster for them."""

_JSON: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=True)
_PRETTY: Final = json.JSONEncoder(indent=4, ensure_ascii=True, allow_nan=True)
PLAIN: Final = frozenset({int, str, bool, type(None)})
"""Types whose values JSON has as they are."""


class Refused(TypeError):
    """A part of a value has no encoding."""


class Simplifier:
    """Turns values into what JSON has, all buffers in base64."""

    exotic = False
    """Whether a value was met that orjson writes differently (NaN, infinities)."""

    def simplify(self, x: Any, depth: int = 0) -> Any:
        """Return the value in terms of None, bool, int, float, str, list and dict with str keys."""
        kind = type(x)
        if kind in PLAIN:
            return x
        if kind is float:
            if not math.isfinite(x):
                self.exotic = True
            return x
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if kind is list:
            return self._items(x, depth)
        if kind is tuple:
            return _tag("tuple", [self._items(x, _below(depth, 2))])
        if kind is dict:
            return self._dict(x, depth)
        if kind is np.ndarray:
            return _tag("nparray", [list(x.shape), x.dtype.str, self._buffer(flat(x))])
        registered = _pyon_types.BY_TYPE.get(kind)
        if registered is not None:
            inner = _below(depth, 1)
            return _tag(registered.name, [self.simplify(y, inner + 1) for y in registered.encode(x)])
        return self._rare(x, depth)

    def _items(self, x: Sequence[Any], depth: int) -> list[Any]:
        if not x:
            return []
        kinds = set(map(type, x))
        if kinds <= PLAIN:
            return list(x)
        if kinds == {float}:
            if not self.exotic and not all(map(math.isfinite, x)):
                self.exotic = True
            return list(x)
        return [y if type(y) in PLAIN else self.simplify(y, depth + 1) for y in x]

    def _dict(self, x: dict[Any, Any], depth: int) -> Any:
        if not x:
            return {}
        if set(map(type, x)) == {str}:
            if "__jsonclass__" in x:
                raise Refused("a dict with the key '__jsonclass__' is not PYON encodable")
            return {key: y if type(y) in PLAIN else self.simplify(y, depth + 1) for key, y in x.items()}
        if all(isinstance(key, str) and not isinstance(key, np.generic) for key in x):
            return self._dict({str.__str__(key): y for key, y in x.items()}, depth)
        inner = _below(depth, 3)
        pairs = [[self.simplify(key, inner + 1), self.simplify(y, inner + 1)] for key, y in x.items()]
        return _tag("dict", [pairs])

    def _buffer(self, data: memoryview) -> Any:
        return pybase64.b64encode_as_string(data)

    def _rare(self, x: Any, depth: int) -> Any:
        if isinstance(x, np.ndarray):
            if isinstance(x, np.ma.MaskedArray):
                raise Refused("a masked array is not PYON encodable: send its data and its mask")
            return self.simplify(np.asarray(x), depth)
        if isinstance(x, float | str) and not isinstance(x, bool):
            return self.simplify(float(x) if isinstance(x, float) else str.__str__(x), depth)
        if isinstance(x, np.generic):
            return _tag("npscalar", [x.dtype.str, self._buffer(memoryview(scalar_bytes(x)))])
        if isinstance(x, int):
            return int(x)
        if isinstance(x, bytes | bytearray | memoryview):
            return _tag("bytes", [self._buffer(memoryview(x).cast("B"))])
        if isinstance(x, set | frozenset):
            inner = _below(depth, 2)
            return _tag("set", [[self.simplify(y, inner + 1) for y in x]])
        if isinstance(x, tuple):
            return _tag("tuple", [self._items(x, _below(depth, 2))])
        if isinstance(x, complex | slice | Fraction):
            inner = _below(depth, 1)
            if isinstance(x, complex):
                return _tag("complex", [self.simplify(x.real), self.simplify(x.imag)])
            if isinstance(x, Fraction):
                return _tag("Fraction", [x.numerator, x.denominator])
            return _tag("slice", [self.simplify(y, inner + 1) for y in (x.start, x.stop, x.step)])
        if isinstance(x, list):
            return self._items(x, depth)
        if isinstance(x, dict):
            return self._dict(x, depth)
        raise Refused(f"`{x!r:.200}`: object of type `{type(x).__qualname__}` is not PYON encodable")


def _below(depth: int, levels: int) -> int:
    """Return the depth of JSON inside of a tagged value, which a reader counts with its tag.

    Raises:
        ValueError: No reader of ours would take it.

    """
    if depth + levels > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return depth + levels


def _tag(name: str, arguments: list[Any]) -> dict[str, Any]:
    return {"__jsonclass__": [name, arguments]}


def to_json(simple: Any, exotic: bool = False) -> bytes:
    """Return JSON text as Python's own encoder would write it, by a faster one where that is the same.

    orjson differs in NaN and infinities (`exotic`), integers over 64 bits and lone surrogates (it raises), and
    in that it escapes neither DEL nor what is not ASCII.
    """
    if not exotic:
        try:
            text = orjson.dumps(simple)
        except orjson.JSONEncodeError:
            text = b"\xff"
        if text.isascii() and b"\x7f" not in text:
            return text
    return _JSON.encode(simple).encode("ascii")


def encode_text(x: Any, *, pretty: bool = False, root: str = "value") -> str:
    """Return a value as text, everything inline."""
    simplifier = Simplifier()
    simple = guarded(simplifier, x, root)
    try:
        return _PRETTY.encode(simple) if pretty else to_json(simple, simplifier.exotic).decode("ascii")
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{root} cannot be written as JSON: {error}") from error


class Line(Simplifier, ABC):
    """A message in the making: what is simplified by it, then its pieces. Large buffers are kept apart meanwhile."""

    _kept: list[memoryview] | None = None

    def _buffer(self, data: memoryview) -> Any:
        if data.nbytes > INLINE_LIMIT:
            if self._kept is None:
                self._kept = []
            self._kept.append(data)
            return self._mark(len(self._kept) - 1)
        return super()._buffer(data)

    @property
    def kept(self) -> Sequence[memoryview]:
        """The buffers that were kept apart so far."""
        return self._kept or ()

    def json(self, x: Any, root: str) -> bytes:
        """Return the JSON text of a value.

        Args:
            x: The value.
            root: What it is called in errors.

        Raises:
            TypeError: A part of it has no encoding.
            ValueError: It is nested too deeply, or cannot be written as JSON.

        """
        simple = guarded(self, x, root)
        try:
            return to_json(simple, self.exotic)
        except (RecursionError, ValueError) as error:
            raise ValueError(f"{root} cannot be written as JSON: {error}") from error

    def pieces(self, text: bytes) -> list[Piece]:
        """Return a line as pieces, and what follows it.

        Args:
            text: The message with its line end, made of what `json` returned.

        """
        return [text] if self._kept is None else self._assembled(text, self._kept)

    @abstractmethod
    def _mark(self, index: int) -> Any:
        """Return what stands for a kept buffer in the text."""

    @abstractmethod
    def _assembled(self, text: bytes, kept: list[memoryview]) -> list[Piece]:
        """Return text and kept buffers as the pieces of a message."""


class Base64Line(Line):
    """Large buffers go into the text in base64: what any peer of PYON v2 understands."""

    _nonce = ""

    def _mark(self, index: int) -> str:
        self._nonce = self._nonce or secrets.token_hex(16)
        return f"{self._nonce}-{index}-"

    def _assembled(self, text: bytes, kept: list[memoryview]) -> list[Piece]:
        pieces: list[Piece] = []
        end = 0
        # A set or dict keeps its order, and JSON text has the order of the walk: the n-th mark is buffer n.
        for mark in re.finditer(self._nonce.encode() + rb"-([0-9]+)-", text):
            pieces.append(text[end : mark.start()])
            pieces.append(Base64(kept[int(mark[1])]))
            end = mark.end()
        pieces.append(text[end:])
        return pieces


class RawLine(Line):
    """Large buffers follow the line raw (docs/explanation/wire.md)."""

    def _mark(self, index: int) -> int:
        return index

    def _assembled(self, text: bytes, kept: list[memoryview]) -> list[Piece]:
        sizes = ",".join(str(data.nbytes) for data in kept)
        return [b"#" + sizes.encode() + b" " + text, *kept]


def guarded(simplifier: Simplifier, x: Any, root: str) -> Any:
    """Simplify, and say where in the value a refused part is.

    Args:
        simplifier: Does it.
        x: The value.
        root: What the value is called in errors.

    """
    try:
        return simplifier.simplify(x)
    except RecursionError:
        raise ValueError(f"{root} is nested deeper than {MAX_DEPTH} levels") from None
    except TypeError as error:
        path, reason = locate(x, root, error, lambda part: Simplifier().simplify(part))
        raise TypeError(f"{path}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{root}: {error}") from error


def locate(x: Any, path: str, error: TypeError, attempt: Callable[[Any], object]) -> tuple[str, TypeError]:
    """Walk down to the part of a value that is refused; only done once something was.

    Args:
        x: The value.
        path: What the value is called.
        error: The error it was refused with.
        attempt: Encodes a part, raises TypeError where that is refused.

    """
    children: list[tuple[str, Any]] = []
    if isinstance(x, list | tuple):
        children = [(f"{path}[{index}]", y) for index, y in enumerate(x)]
    elif isinstance(x, dict):
        children = [(f"{path}[{key!r:.60}]", y) for key, y in x.items()]
    for where, child in children:
        try:
            attempt(child)
        except TypeError as inner:
            return locate(child, where, inner, attempt)
    return path, error


def json_string(x: str) -> str:
    """Return a str as an ASCII literal, which is the same in both versions."""
    return _JSON.encode(str.__str__(x))

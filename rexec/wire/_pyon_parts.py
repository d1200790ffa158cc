"""Encodes a value in parts that each take little time, for an event loop that does other things in between."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from rexec.wire import pyon, pyon_v1
from rexec.wire._pieces import Base64, Piece
from rexec.wire._pyon_encode import Base64Line

PART: Final = 500
"""Elements of a part, whatever lists and dicts they are in: some 50 µs of work, in PYON v1 some 3 ms."""
_MOST: Final = 4 * PART
"""Elements of a value that is encoded at once."""
_SCALARS: Final = frozenset({int, float, bool, type(None)})


class Syntax(NamedTuple):
    """What tells the versions of PYON apart, as far as large values are made of small ones."""

    encode: Callable[[Any], str]
    pieces: Callable[[Any], list[Piece]]
    comma: bytes
    colon: bytes
    tuple_begin: bytes
    tuple_end: bytes
    alone: bytes
    """Behind the only element of a tuple."""

    def text(self, x: Any) -> bytes:
        """Return a value as text."""
        return self.encode(x).encode("ascii")


def _pieces_v2(x: Any) -> list[Piece]:
    line = Base64Line()
    return line.pieces(line.json(x, "value"))


V2: Final = Syntax(pyon.encode, _pieces_v2, b",", b":", b'{"__jsonclass__":["tuple",[[', b"]]]}", b"")
V1: Final = Syntax(
    pyon_v1.encode, lambda x: pyon_v1.encode_pieces(x, "value"), b", ", b": ", b"(", b")", b", "
)


def parts(x: Any, syntax: Syntax, begun: set[int]) -> Iterator[bytes]:
    """Yield the text of a value.

    Args:
        x: The value. It may change between two parts only by `append` to a list in `begun`: what is appended is then
            not in the text.
        syntax: The version.
        begun: Gets the `id` of each list of which the text is begun.

    Raises:
        TypeError, ValueError: As `pyon.encode`.

    """
    kind = type(x)
    if elements(x, _MOST) <= _MOST:
        yield syntax.text(x)
    elif kind is list:
        begun.add(id(x))
        length = len(x)  # of this moment
        yield b"["
        yield from _items(x, length, syntax, begun)
        yield b"]"
    elif kind is tuple:
        yield syntax.tuple_begin
        yield from _items(x, len(x), syntax, begun)
        yield (syntax.alone if len(x) == 1 else b"") + syntax.tuple_end
    elif kind is dict and has_plain_keys(x):
        yield b"{"
        yield from _entries(x, syntax, begun)
        yield b"}"
    elif isinstance(x, np.ndarray):
        for piece in syntax.pieces(x):
            yield from piece if isinstance(piece, Base64) else [bytes(piece)]
    else:
        yield syntax.text(x)


def _items(x: list[Any] | tuple[Any, ...], length: int, syntax: Syntax, begun: set[int]) -> Iterator[bytes]:
    for start in range(0, length, PART):
        some = [*x[start : min(start + PART, length)]]
        comma = syntax.comma if start else b""
        if elements(some, _MOST) <= _MOST:
            yield comma + syntax.text(some)[1:-1]
            continue
        for item in some:
            yield comma
            yield from parts(item, syntax, begun)
            comma = syntax.comma


def _entries(x: dict[str, Any], syntax: Syntax, begun: set[int]) -> Iterator[bytes]:
    comma = b""
    for key in list(x):
        yield comma + syntax.text(key) + syntax.colon
        yield from parts(x[key], syntax, begun)
        comma = syntax.comma


def has_plain_keys(x: dict[Any, Any]) -> bool:
    """Return whether both versions write a dict as keys and values in braces."""
    return set(map(type, x)) == {str} and "__jsonclass__" not in x


def elements(x: Any, most: int) -> int:
    """Return how many elements a value has, whatever they are in; from `most` on any larger number."""
    kind = type(x)
    if kind in _SCALARS:
        return 1
    if isinstance(x, np.ndarray):
        return 1 + x.nbytes // 8
    if kind is str or kind is bytes:
        return 1 + len(x) // 8
    if kind is not list and kind is not tuple and kind is not dict:
        return 1
    count = 1 + len(x)
    inner = x.values() if kind is dict else x
    if count > most or _SCALARS.issuperset(map(type, inner)):
        return count
    for each in inner:
        count += elements(each, most - count) - 1
        if count > most:
            break
    return count

"""The parser of PYON v1: a closed grammar, bounded depth, linear time."""

import re
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from rexec.wire._arrays import array_from, from_base64, scalar_from, spread, spread_pairs
from rexec.wire._pyon_encode import MAX_DEPTH

_TOKEN: Final = re.compile(
    rb"""\s*(?:
    (?P<punctuation>[\[\](){}:,])
    |(?P<bytes>b"(?:[^"\\\n]|\\.)*" | b'(?:[^'\\\n]|\\.)*')
    |(?P<string>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    |(?P<number>[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf|nan)j?
        (?:[+-](?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|inf|nan)j)?(?![A-Za-z0-9_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    )""",
    re.VERBOSE,
)
_BLANK: Final = re.compile(rb"\s*")
_PLAIN_BYTES: Final = re.compile(rb'\s*b"')
_WITH_VIEWS: Final = frozenset({b"nparray", b"npscalar"})
"""Their base64 is not copied out of the text."""
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<x>x[0-9a-fA-F]{2})|(?P<u>u[0-9a-fA-F]{4})|(?P<long>U[0-9a-fA-F]{8})|(?P<octal>[0-7]{1,3})|(?P<simple>.))",
    re.DOTALL,
)
_SIMPLE: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "/": "/",
}  # fmt: skip
_CONSTANTS: Final = {
    b"null": None, b"true": True, b"false": False, b"None": None, b"True": True, b"False": False,
}  # fmt: skip


def parse(text: bytes | bytearray) -> Any:
    """Return the value of a text.

    Raises:
        TypeError: A constructor's arguments make no such value.
        ValueError: It is not PYON v1, or nested too deeply.

    """
    parser = _Parser(text)
    try:
        value = parser.value(0)
    except RecursionError:
        raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels") from None
    parser.finish()
    return value


class _Parser:
    def __init__(self, text: bytes | bytearray) -> None:
        self._text = text
        self._position = 0
        self._kind: str | None = None
        self._token: bytes = b""
        self._plain: tuple[int, int] = (0, 0)
        """Where the content of a bytes literal without escapes is (kind "plain")."""
        self._advance()

    def _advance(self) -> None:
        opening = _PLAIN_BYTES.match(self._text, self._position)
        if opening is not None:
            start = opening.end()
            close = self._text.find(b'"', start)
            if close >= 0 and all(self._text.find(one, start, close) < 0 for one in (b"\\", b"\n")):
                self._kind, self._token, self._plain = "plain", b"", (start, close)
                self._position = close + 1
                return
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            end = _BLANK.match(self._text, self._position)
            if end is None or end.end() != len(self._text):
                raise self._error()
            self._kind, self._token = None, b""
            return
        self._position = match.end()
        self._kind = match.lastgroup or ""
        self._token = bytes(match[self._kind])

    def _error(self) -> ValueError:
        at = max(self._position - len(self._token), 0)
        return ValueError(f"not PYON v1 at character {at}: {bytes(self._text[at : at + 40])!r}")

    def _is(self, punctuation: bytes) -> bool:
        return self._kind == "punctuation" and self._token == punctuation

    def finish(self) -> None:
        """Refuse anything behind the value."""
        if self._kind is not None:
            raise self._error()

    def value(self, depth: int, *, views: bool = False) -> Any:
        """Parse one value; return a plain bytes literal as a view of the text where `views` says so."""
        if depth > MAX_DEPTH:
            raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels")
        kind, token = self._kind, self._token
        if kind == "punctuation":
            return self._collection(token, depth)
        if kind is None:
            raise self._error()
        if kind == "name":
            return self._named(token, depth)
        value: Any
        if kind == "number":
            value = self._number(token)
        elif kind == "string":
            value = _unescape(token[1:-1].decode("utf-8", "surrogatepass"), bytes_only=False)
        elif kind == "plain":
            start, end = self._plain
            value = memoryview(self._text)[start:end]
            if not views:
                value = bytes(value)
        else:
            value = _unescape(token[2:-1].decode("latin-1"), bytes_only=True).encode("latin-1")
        self._advance()
        return value

    def _number(self, token: bytes) -> int | float | complex:
        text = token.decode("ascii")
        if text.endswith("j"):
            return complex(text)
        digits = text.lstrip("+-")
        if digits.isdigit():
            if len(digits) > 1 and digits[0] == "0":
                raise self._error()
            return int(text)
        return float(text)

    def _collection(self, opening: bytes, depth: int) -> Any:
        if opening == b"[":
            return self._items(b"]", depth)[0]
        if opening == b"(":
            items, trailing_comma = self._items(b")", depth)
            # Round brackets around one value, as in (1+2j), are no tuple.
            return items[0] if len(items) == 1 and not trailing_comma else tuple(items)
        if opening == b"{":
            return self._braces(depth)
        raise self._error()

    def _items(self, closing: bytes, depth: int, *, views: bool = False) -> tuple[list[Any], bool]:
        self._advance()
        items: list[Any] = []
        comma = False
        while not self._is(closing):
            if items and not comma:
                raise self._error()
            items.append(self.value(depth + 1, views=views))
            comma = self._is(b",")
            if comma:
                self._advance()
        self._advance()
        return items, comma

    def _braces(self, depth: int) -> Any:
        self._advance()
        pairs: list[tuple[Any, Any]] = []
        members: list[Any] = []
        comma = True
        while not self._is(b"}"):
            if not comma:
                raise self._error()
            key = self.value(depth + 1)
            if self._is(b":") and not members:
                self._advance()
                pairs.append((key, self.value(depth + 1)))
            elif pairs:
                raise self._error()
            else:
                members.append(key)
            comma = self._is(b",")
            if comma:
                self._advance()
        self._advance()
        return set(spread(members)) if members else dict(spread_pairs(pairs))

    def _named(self, name: bytes, depth: int) -> Any:
        self._advance()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        build = _CONSTRUCTORS.get(name)
        if build is None or not self._is(b"("):
            raise ValueError(f"not PYON v1: unknown name {name.decode('ascii')!r:.80}")
        arguments, _ = self._items(b")", depth, views=name in _WITH_VIEWS)
        try:
            return build(*arguments)
        except (TypeError, ArithmeticError) as error:
            raise TypeError(f"PYON {name.decode('ascii')} of {arguments!r:.80}: {error}") from error


def _unescape(text: str, *, bytes_only: bool) -> str:
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        kind = match.lastgroup or ""
        body = match[kind]
        if kind == "simple":
            if body not in _SIMPLE:
                raise ValueError(f"not PYON v1: escape \\{body!r}")
            return _SIMPLE[body]
        code = int(body, 8) if kind == "octal" else int(body[1:], 16)
        if code > (0xFF if bytes_only else 0x10FFFF):
            raise ValueError(f"not PYON v1: escape {match[0]!r}")
        return chr(code)

    plain = _ESCAPE.sub(one, text)
    # Writers of this version escape by halves of UTF-16, as JSON does.
    return (
        plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\\u" in text else plain
    )


def _fraction(numerator: Any, denominator: Any) -> Fraction:
    if type(numerator) is not int or type(denominator) is not int:
        raise TypeError("expected two integers")
    return Fraction(numerator, denominator)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    if not isinstance(items, list | tuple):
        raise TypeError("expected a list of pairs")
    return OrderedDict(spread_pairs(items))


_CONSTRUCTORS: Final[dict[bytes, Callable[..., Any]]] = {
    b"slice": slice,
    b"Fraction": _fraction,
    b"OrderedDict": _ordered,
    b"nparray": lambda shape, dtype, data: array_from(shape, dtype, from_base64(data)),
    b"npscalar": lambda dtype, data: scalar_from(dtype, from_base64(data)),
}

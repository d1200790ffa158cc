"""From PYON v2 to a value: JSON first, then the tagged objects in it. Nothing is evaluated."""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import orjson

from rexec.wire import _pyon_types
from rexec.wire._arrays import (
    Buffer,
    array_from,
    bytes_from_base64,
    from_base64,
    scalar_from,
    spread,
    spread_pairs,
)
from rexec.wire._pyon_encode import MAX_DEPTH, PLAIN

# orjson reads integers over 64 bits as floats: any run of 19 digits is left to Python's own decoder.
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")
_LARGE_LINE: Final = 1 << 18
_BASE64_LIMIT: Final = 1 << 16
_TAG: Final = b'{"__jsonclass__":["'
# What stands before a base64 string, up to and with its opening quote, in the compact form that peers write.
_OPENING: Final = re.compile(
    rb'\{"__jsonclass__":\["(?:nparray",\[\[[0-9, ]{0,400}\],"[^"\\]{1,40}",|npscalar",\["[^"\\]{1,40}",|bytes",\[)"'
)


def decode_line(line: str | Buffer, buffers: Sequence[Buffer] | None = None) -> Any:
    """Return the value of a line.

    Args:
        line: The JSON text.
        buffers: The raw buffers behind it, where the connection has them; each must be used once.

    Raises:
        TypeError: A tag is unknown, or its arguments make no such value.
        ValueError: It is not PYON, or nested too deeply.

    """
    text: Any = line
    if isinstance(line, str):
        text = line.encode("utf-8", "surrogatepass")
    elif isinstance(line, memoryview):
        text = bytes(line)
    cut_out = buffers is None and len(text) > _LARGE_LINE
    if cut_out:
        text, buffers = _extract(text)
    try:
        try:
            simple = orjson.loads(text)
        except orjson.JSONDecodeError:
            simple = _python_json(text)  # it may still be JSON in Python's dialect
        else:
            if not buffers and _is_flat(simple):
                return simple
            if _LONG_NUMBER.search(text) is not None:
                simple = _python_json(text)
        # No tag, spelled out or by escapes: the value is what JSON says.
        if not buffers and b"__jsonclass__" not in text and b"\\u" not in text:
            return simple
        reader = _Reader(buffers or (), base64=cut_out)
        value = reader.value(simple, 0)
    except RecursionError:
        raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels") from None
    reader.finish()
    return value


def decode_json(text: str | bytes | bytearray, options: dict[str, Any]) -> Any:
    """Return the value of a text, read by Python's own JSON decoder with options of the caller's.

    Raises:
        TypeError: A tag is unknown, or its arguments make no such value.
        ValueError: It is not PYON, or nested too deeply.

    """
    if "object_hook" in options:
        raise TypeError("object_hook is what PYON itself needs: register() makes further types known")
    try:
        return _Reader((), base64=False).value(json.loads(text, **options), 0)
    except RecursionError:
        raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels") from None


def _is_flat(simple: Any) -> bool:
    """Whether it is a dict of nothing but integers, texts, booleans and None, as most messages of a small call.

    In such a value nothing is tagged, and no float may be an integer that was too long. Saves 7 % of a small call.
    """
    if type(simple) is not dict or "__jsonclass__" in simple:
        return False
    for x in simple.values():
        if type(x) not in PLAIN:
            return False
    return True


def _python_json(text: Any) -> Any:
    try:
        return json.loads(str(text, "utf-8"))
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(f"not PYON: {error.msg}", error.doc, error.pos) from error
    except ValueError as error:  # no UTF-8, or an integer of too many digits
        raise json.JSONDecodeError(f"not PYON: {error}", "", 0) from error


def _extract(text: Any) -> tuple[Any, list[Buffer]]:
    """Cut long base64 strings out of a line, so that the parser neither copies nor scans them.

    A number is left in the place of each, as in the raw form. Matches inside other strings cannot occur: the
    pattern holds quotes, which are escaped there.
    """
    view = memoryview(text)
    pieces: list[Buffer] = []
    found: list[Buffer] = []
    end = 0
    position = text.find(_TAG)
    while position >= 0:
        start = position + len(_TAG)
        match = _OPENING.match(text, position)
        if match is not None:
            start = match.end()
            close = text.find(b'"', start)
            if close - start >= _BASE64_LIMIT:
                pieces += (view[end : start - 1], str(len(found)).encode())
                found.append(view[start:close])
                start = end = close + 1
        position = text.find(_TAG, start)
    pieces.append(view[end:])
    return b"".join(pieces), found


class _Reader:
    """Builds the values of tagged objects, from the leaves up.

    Args:
        buffers: What numbers in the place of base64 stand for.
        base64: The buffers are base64 cut out of the line (else raw bytes).

    """

    def __init__(self, buffers: Sequence[Buffer], *, base64: bool) -> None:
        self._buffers: list[Buffer | None] = list(buffers)
        self._base64 = base64

    def finish(self) -> None:
        """Refuse a message with buffers that nothing refers to."""
        if any(buffer is not None for buffer in self._buffers):
            raise ValueError("not PYON: a raw buffer is not used")

    def value(self, x: Any, depth: int) -> Any:
        """Return the value of a piece of JSON."""
        kind = type(x)
        if kind is list:
            if depth > MAX_DEPTH:
                raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels")
            return [self.value(y, depth + 1) if type(y) in _CONTAINERS else y for y in x]
        if kind is not dict:
            return x
        if depth > MAX_DEPTH:
            raise ValueError(f"PYON nested deeper than {MAX_DEPTH} levels")
        if "__jsonclass__" not in x:
            return {key: self.value(y, depth + 1) if type(y) in _CONTAINERS else y for key, y in x.items()}
        tag = x["__jsonclass__"]
        if len(x) != 1 or type(tag) is not list or len(tag) != 2 or type(tag[1]) is not list:
            raise TypeError(f"not PYON: {tag!r:.80} is not a tagged value")
        return self._tagged(tag[0], tag[1], depth)

    def _tagged(self, name: Any, arguments: list[Any], depth: int) -> Any:
        if name in ("nparray", "npscalar", "bytes"):
            if len(arguments) != {"nparray": 3, "npscalar": 2, "bytes": 1}[name]:
                raise TypeError(f"PYON {name} with {len(arguments)} arguments")
            data, is_base64 = self._data(arguments[-1])
            if name == "bytes":
                return bytes_from_base64(data) if is_base64 else bytes(data)
            raw = from_base64(data) if is_base64 else data
            return (
                array_from(arguments[0], arguments[1], raw)
                if name == "nparray"
                else scalar_from(arguments[0], raw)
            )
        build = _BUILDERS.get(name) if isinstance(name, str) else None
        if build is None and isinstance(name, str) and name in _pyon_types.BY_NAME:
            build = _registered(_pyon_types.BY_NAME[name].decode)
        if build is None:
            raise TypeError(f"unknown PYON type {name!r:.80}")
        values = self.value(arguments, depth + 1)
        try:
            return build(values)
        except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise TypeError(f"PYON {name} cannot be made of {values!r:.80}: {error}") from error

    def _data(self, data: Any) -> tuple[Any, bool]:
        """Return what stands for the bytes of a value, and whether it is base64."""
        if type(data) is not int:
            return data, True
        if not 0 <= data < len(self._buffers) or (buffer := self._buffers[data]) is None:
            raise ValueError(f"not PYON: there is no raw buffer {data}")
        self._buffers[data] = None
        return buffer, self._base64


_CONTAINERS: Final = frozenset({list, dict})


def _one(build: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def from_single_list(values: list[Any]) -> Any:
        (items,) = values
        if type(items) is not list:
            raise TypeError("expected one list")
        return build(items)

    return from_single_list


def _complex(values: list[Any]) -> complex:
    real, imaginary = values
    if type(real) not in (int, float) or type(imaginary) not in (int, float):
        raise TypeError("expected two numbers")
    return complex(real, imaginary)


def _fraction(values: list[Any]) -> Fraction:
    numerator, denominator = values
    if type(numerator) is not int or type(denominator) is not int:
        raise TypeError("expected two integers")
    return Fraction(numerator, denominator)


def _slice(values: list[Any]) -> slice:
    start, stop, step = values
    return slice(start, stop, step)


def _registered(decode: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    return lambda values: decode(*values)


_BUILDERS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "tuple": _one(tuple),
    "set": _one(lambda items: set(spread(items))),
    "dict": _one(lambda pairs: dict(spread_pairs(pairs))),
    "OrderedDict": _one(lambda pairs: OrderedDict(spread_pairs(pairs))),
    "complex": _complex,
    "Fraction": _fraction,
    "slice": _slice,
}

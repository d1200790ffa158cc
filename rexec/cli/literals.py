"""Reads values typed on a command line: Python literals, arrays, files of arrays. Evaluates nothing."""

import argparse
import ast
import math
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

LITERALS_HELP: Final = """\
values are Python literals: 3, 2.5e6, 1+2j, "text", True, None, [1, 2], (1, 2), {"a": 1}, b"raw", nan, inf;
arrays: array([[1, 2], [3, 4]]) or array([1, 2], "uint16"); @FILE.npy reads an array from a file"""

_NAMES: Final[Mapping[str, object]] = {
    "true": True,
    "false": False,
    "null": None,
    "nan": math.nan,
    "inf": math.inf,
}
_SIGNS: Final[Mapping[type, Callable[[Any], Any]]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPLEX: Final[Mapping[type, Callable[[Any, Any], Any]]] = {ast.Add: operator.add, ast.Sub: operator.sub}
_ARRAY_KINDS: Final = "biufcSU"


class LiteralError(ValueError):
    """Raised when a text is no value; the message shows the text and how to write it."""


def parse(text: str) -> Any:
    """Return the value that a text stands for.

    Args:
        text: A literal, `array(...)`, or `@FILE.npy`; see `LITERALS_HELP`.

    Raises:
        LiteralError: It is none of these, or the file cannot be read.

    """
    if text.startswith("@"):
        return _load(Path(text[1:]))
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _no_value(text) from None
    return value_of(tree.body)


def value_of(node: ast.expr) -> Any:
    """Return the value of an expression that is a literal or an array of literals; LiteralError otherwise."""
    match node:
        case ast.Constant(value=bool() | int() | float() | complex() | str() | bytes() | None as value):
            return value
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            number = value_of(operand)
            if isinstance(number, (int, float, complex)):
                return _SIGNS[type(op)](number)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _COMPLEX:
            # 1+2j is the only sum among literals
            real, imaginary = value_of(left), value_of(right)
            if isinstance(real, (int, float)) and isinstance(imaginary, complex):
                return _COMPLEX[type(op)](real, imaginary)
        case ast.List(elts=items):
            return [value_of(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(value_of(item) for item in items)
        case ast.Set(elts=items):
            return _collect(node, set, [value_of(item) for item in items])
        case ast.Dict(keys=keys, values=values):
            pairs = [(key, value) for key, value in zip(keys, values, strict=True) if key is not None]
            if len(pairs) == len(keys):
                return _collect(node, dict, [(value_of(key), value_of(value)) for key, value in pairs])
        case ast.Call(func=ast.Name(id="array"), args=[items], keywords=[]):
            return _array(node, value_of(items), None)
        case ast.Call(
            func=ast.Name(id="array"), args=[items, ast.Constant(value=str() as kind)], keywords=[]
        ):
            return _array(node, value_of(items), kind)
    raise _no_value(ast.unparse(node))


def assignment(text: str) -> tuple[str, Any]:
    """Split `NAME=VALUE` into the name and the value; for use as a `type` of argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, parse(value)
    except LiteralError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _no_value(text: str) -> LiteralError:
    hint = f"; text needs quotes of its own: '\"{text}\"'" if text.replace("_", "").isalnum() else ""
    return LiteralError(
        f"{text!r} is not a value (a number, text in quotes, a list, array([...]), @FILE.npy){hint}"
    )


def _collect(node: ast.expr, make: Callable[[Any], Any], items: Any) -> Any:
    try:
        return make(items)
    except TypeError as error:  # an element or key that is not hashable
        raise LiteralError(f"{ast.unparse(node)!r} is not a value: {error}") from None


def _array(node: ast.expr, items: object, kind: str | None) -> Any:
    try:
        array = np.array(items, dtype=kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise LiteralError(f"{ast.unparse(node)!r} is not an array: {error}") from None
    if array.dtype.kind not in _ARRAY_KINDS:
        raise LiteralError(f"{ast.unparse(node)!r} has elements of type {array.dtype}, which cannot travel")
    return array


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LiteralError(f"cannot read an array from {path}: {error}") from None

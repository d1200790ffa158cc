"""Reads values typed on a command line: Python literals, arrays, files of arrays. Evaluates nothing."""

import ast
import math
import operator
import shlex
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from devicedb.cli.parser import with_hint

LITERALS_HELP: Final = """\
values are Python literals; nothing is evaluated:
  3, -2.5e6, 1+2j, nan, inf, True, None, "text", b"raw"
  [1, 2], (1, 2), {1, 2}, {"a": 1}
  array([[1, 2], [3, 4]]), array([1, 2], "uint16"), load("FILE.npy")"""

_NAMES: Final[Mapping[str, object]] = {
    "true": True,
    "false": False,
    "null": None,
    "nan": math.nan,
    "inf": math.inf,
}
_NAMED: Final = ("True", "False", "None", *_NAMES)
_SIGNS: Final[Mapping[type, Callable[[Any], Any]]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPLEX: Final[Mapping[type, Callable[[Any, Any], Any]]] = {ast.Add: operator.add, ast.Sub: operator.sub}
_ARRAY_KINDS: Final = "biufcSU"


class LiteralError(ValueError):
    """Raised when a text is no value; the message shows the text and how to write it."""


class NoExpression(ValueError):
    """Raised when a text is no Python expression."""


def parse(text: str) -> Any:
    """Return the value that a text stands for.

    Args:
        text: A literal, `array(...)`, `load("FILE.npy")`, or `@FILE.npy`; see `LITERALS_HELP`.

    Raises:
        LiteralError: It is none of these, or the file cannot be read. The message shows how a text is typed in a
            shell: a bare word is none, since `of`, a slip of `off`, would be one too, and true.

    """
    if text.startswith("@"):
        return _load(Path(text[1:]))
    try:
        node = expression(text)
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict | ast.Call):
            return value_of(node)
    except NoExpression:
        raise LiteralError(_refusal(text, typed(text))) from None
    try:
        return value_of(node)
    except LiteralError:
        raise LiteralError(_refusal(text, typed(text))) from None


def typed(text: str) -> str:
    """Return what to type on a command line, of any shell where that can be, for a text as a value."""
    literal = repr(text)
    if literal.startswith("'") and not set(literal) & set('"$`\\!%'):
        return f'"{literal}"'
    return shlex.quote(literal)


def expression(text: str) -> ast.expr:
    """Return the syntax tree of an expression; NoExpression where a text is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of backslashes in text, and of calls that nobody is going to make
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NoExpression(text) from None


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
        case ast.Call(func=ast.Name(id="load"), args=[ast.Constant(value=str() as name)], keywords=[]):
            return _load(Path(name))
    text = ast.unparse(node)
    raise LiteralError(_refusal(text, f'"{text}"' if isinstance(node, ast.Name) else None))


def _refusal(text: str, as_text: str | None) -> str:
    """Return why a text is no value, and what to write where a text was meant."""
    hint = f"; text is typed {as_text}" if as_text is not None else ""
    kinds = "a number, True, text in quotes, [1, 2], array([1, 2])"
    return with_hint(f"{text!r} is not a value ({kinds}){hint}", text, _NAMED)


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
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise LiteralError(f"cannot read an array from {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise LiteralError(f"cannot read an array from {path}: it is no .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise LiteralError(
            f"cannot read an array from {path}: it holds several, give each a .npy file of its own"
        )
    return array

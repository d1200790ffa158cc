"""Parses values typed on a command line: Python literals, arrays, files of arrays. Evaluates nothing."""

import ast
import math
import operator
import os
import re
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from devicedb.cli.parser import with_hint

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
_EXPANDED: Final = re.compile(r'["%$`!]')
"""What cmd or PowerShell would expand within double quotes, or that would end them."""
_ARRAY_KINDS: Final = "biufcSU"


class LiteralError(ValueError):
    """Raised when a text is not a value; the message shows how to write one."""


class NoExpression(ValueError):
    """Raised when a text is not a Python expression."""


def parse(text: str) -> Any:
    """Return the value of a text.

    Args:
        text: A literal, `array(...)`, `load("FILE.npy")`, or `@FILE.npy`; see `LITERALS_HELP` in `_peer_options`.

    Raises:
        LiteralError: The text is none of these, or the file cannot be read. A bare word is refused: otherwise `of`, a
            misspelt `off`, would be a text, and therefore true.

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


def split_values(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and keyword arguments of the words of a command line."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            if name in keywords:
                raise LiteralError(f"{name} is given twice")
            keywords[name] = parse(value)
        else:
            positional.append(parse(word))
    return positional, keywords


def typed(text: str, *, windows: bool = os.name == "nt") -> str:
    """Return how to type a text as a value on a command line, for any shell if possible.

    Args:
        text: The text.
        windows: Whether cmd and PowerShell must take it, also where no shell of POSIX does.

    """
    literal = repr(text)
    if windows:
        # A double quote before it has `repr` put single quotes around; what a shell would expand is escaped.
        literal = "'" + repr(f'"{text}')[2:]
        return '"' + _EXPANDED.sub(lambda found: f"\\x{ord(found[0]):02x}", literal) + '"'
    if literal.startswith("'") and not set(literal) & set('"$`\\!%'):
        return f'"{literal}"'
    return shlex.quote(literal)


def expression(text: str) -> ast.expr:
    """Return the syntax tree of an expression, or raise NoExpression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning for backslashes, and for calls of literals
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NoExpression(text) from None


def value_of(node: ast.expr) -> Any:
    """Return the value of a literal or an array of literals; LiteralError for any other expression."""
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
    """Return why a text is not a value, and how to write it as text."""
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
        raise LiteralError(f"cannot read an array from {path}: not a .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise LiteralError(
            f"cannot read an array from {path}: it holds several; save each in its own .npy file"
        )
    return array

"""Runs on the controller, of any make: whether a value can be sent to the client, and how large it is."""

from __future__ import annotations

import collections
import fractions
from importlib import import_module
from typing import Any

# Deeper values are refused by every peer of ours.
DEEPEST = 100
# Python refuses to write integers of over 4,300 digits as text.
LARGEST = 1 << 14_000
ATOMS = (type(None), bool, float, complex, str, bytes, bytearray, slice, fractions.Fraction)
PLAIN = frozenset({type(None), bool, float, complex, str, bytes})
SEQUENCES = (list, tuple, set, frozenset)
LIBRARIES = ("rexec.wire.pyon", "sipyco.pyon")


def problem_of(value: Any, path: str = "value", depth: int = 0) -> str:
    """Return why a value cannot be sent, with the part that cannot; nothing if it can.

    A list or dict of another class is left to the controller's own encoder, which may call its methods.
    """
    kind = type(value)
    if kind in ATOMS:
        return ""
    if kind is int:
        return "" if -LARGEST < value < LARGEST else f"{path}: an integer of over 4,000 digits"
    if depth > DEEPEST:
        return f"{path}: nested deeper than {DEEPEST} levels, or holding itself"
    if kind in SEQUENCES:
        if PLAIN.issuperset(map(type, value)):
            return ""
        for index, each in enumerate(value):
            if found := problem_of(each, f"{path}[{index}]", depth + 1):
                return found
        return ""
    if kind is dict or kind is collections.OrderedDict:
        for key, each in value.items():
            found = problem_of(key, f"a key of {path}", depth + 1)
            if found := found or problem_of(each, f"{path}[{key!r:.60}]", depth + 1):
                return found
        return "" if "__jsonclass__" not in value else f"{path}: a dict with the key '__jsonclass__'"
    dtype = getattr(value, "dtype", None)
    if kind.__module__ == "numpy" and dtype is not None:
        return f"{path}: an array of objects" if dtype.hasobject else ""
    return encoding_problem(value, path)


def encoding_problem(value: Any, path: str) -> str:
    """Return why the controller's own encoder refuses a value."""
    for name in LIBRARIES:
        try:
            encode = import_module(name).encode
        except ImportError:
            continue
        try:
            encode(value)
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            return f"{path}: a {type(value).__qualname__} cannot be encoded ({error_text(error)})"
        return ""
    return f"{path}: a {type(value).__qualname__} cannot be encoded"


def error_text(error: BaseException) -> str:
    """Return the message of an exception, whatever its own methods do."""
    try:
        return str(error) or type(error).__name__
    except BaseException as inner:
        return f"<{type(inner).__name__} while the message was made>"


def size_of(value: Any, most: float) -> int:
    """Return roughly how many bytes a sendable value takes; counting ends beyond `most`."""
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size + 64
    if isinstance(value, str | bytes | bytearray):
        return len(value) + 64
    if isinstance(value, dict):
        value = [each for pair in value.items() for each in pair]
    if not isinstance(value, SEQUENCES):
        return 64
    total = 64
    for each in value:
        total += size_of(each, most - total)
        if total > most:
            break
    return total

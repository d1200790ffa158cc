"""What files and journals say of a run, as the plain values of `facts`, whatever stands there."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from devicedb.printable import printable
from rexec.catalogue.facts import NamedValue, Scalar
from rexec.ground.quantities import display_of
from rexec.results.hdf5.inside import FOREIGN_ERRORS
from rexec.results.reading.shown import short

LONGEST_TEXT: Final = 1_000
"""Characters of a text that can be searched; of a longer one only its beginning is shown."""

MOST_ARGUMENTS: Final = 1_000
"""Arguments of a run that are looked at."""


def named_value(value: Any, metadata: Mapping[str, Any]) -> NamedValue:
    """Return a single number or text with its unit, anything else described in a few words."""
    plain = scalar_of(value)
    if plain is None:
        return NamedValue(None, _short(value))
    if isinstance(plain, str | bool):
        return _of_scalar(plain)
    display = display_of(metadata)
    return NamedValue(plain, "", display.unit, display.scale)


def _of_scalar(value: Scalar) -> NamedValue:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return NamedValue(None, value[:LONGEST_TEXT] + "…")
    if (
        type(value) is int and value.bit_length() > 10_000
    ):  # Python writes no decimal digits of much larger ones
        return NamedValue(None, "an int of many digits")
    return NamedValue(value)


def scalar_of(value: Any) -> Scalar | None:
    """Return a value as one number, text or bool; None if it is anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, bool | int | float | str) else None


def arguments_of(expid: Mapping[str, Any]) -> dict[str, NamedValue]:
    """Return the arguments in an expid."""
    given = expid.get("arguments")
    if not isinstance(given, dict):
        return {}
    found: dict[str, NamedValue] = {}
    for name, value in list(given.items())[:MOST_ARGUMENTS]:
        plain = scalar_of(value)
        found[str(name)] = NamedValue(None, _short(value)) if plain is None else _of_scalar(plain)
    return found


def _short(value: Any) -> str:
    try:
        return short(value, 200)
    except FOREIGN_ERRORS:
        return type(value).__name__


def text_of(value: Any) -> str:
    """Return text of a file, decoded."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return string(value)


def string(value: Any) -> str:
    """Return a text, cut where it is too long; "" for anything else."""
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def strings(value: Any) -> tuple[str, ...]:
    """Return the texts in a list; none for anything else."""
    return (
        tuple(each[:LONGEST_TEXT] for each in value if isinstance(each, str))
        if isinstance(value, list)
        else ()
    )


def finite(value: Any) -> float | int | None:
    """Return a value as a comparable number; None if it is not one."""
    plain = scalar_of(value)
    if isinstance(plain, str | None) or isinstance(plain, bool):
        return None
    return plain if isinstance(plain, int) or abs(plain) < 1e300 else None


def moment_of(value: float | None, written: float) -> float:
    """Return a time that a clock may have given, else when the file was written."""
    return float(value) if value is not None and 0 < value < 1e11 else written


def mapping(value: Any) -> dict[str, Any]:
    """Return a dict; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def one_line(text: object) -> str:
    """Return text as one short line."""
    return printable(" ".join(str(text).split()))[:300]

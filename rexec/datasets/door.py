"""What may become a dataset: name, value, metadata and flags are checked once, whoever brings them.

What cannot be kept is refused here, with the name of the dataset, before anything is changed.
"""

import logging
import numbers
import operator
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from rexec.datasets.types import Metadata
from rexec.datasets.values import own_copy
from rexec.wire import pyon, pyon_v1

_log = logging.getLogger(__name__)

_PLAIN: Final = frozenset({float, bool, type(None)})
_NUMBERS: Final[tuple[Any, ...]] = (numbers.Real, np.number, Decimal)
_SMALL_INT: Final = 2**53
_MAX_DIGITS: Final = 10_000


def checked_name(key: Any) -> str:
    """Return the name of a dataset as a plain str; TypeError where it is none."""
    if not isinstance(key, str):
        raise TypeError(f"the name of a dataset is a str, not {type(key).__name__}")
    return str.__str__(key)


def checked_value(key: str, value: Any, depth: int = 0) -> Any:
    """Return a value that shares nothing with the one given.

    Args:
        key: Name of the dataset.
        value: The value, or a part of it.
        depth: How deep the part stands.

    Raises:
        ValueError: It is nested too deeply, or holds itself.

    """
    try:
        return own_copy(value, depth)
    except ValueError as error:
        raise ValueError(f"dataset {key!r}: a {type(value).__name__} cannot be kept: {error}") from None


def checked_metadata(key: str, metadata: Any) -> Metadata:
    """Return metadata as every file, subscriber and viewer can take them.

    A unit that is no text of UTF-8 is escaped, with a warning: a run's numbers are worth more than their unit.

    Args:
        key: Name of the dataset.
        metadata: Those given of `unit` (str), `scale` (number), `precision` (int), and any that others may add.

    Raises:
        TypeError, ValueError: One of them has another type, or is out of range.

    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"dataset {key!r}: metadata are a dict, not {type(metadata).__name__}")
    return {name: _checked(key, name, given) for name, given in metadata.items() if given is not None}


def checked_flag(key: str, name: str, flag: Any) -> bool:
    """Return a flag (`broadcast`, `persist`, `archive`) as a bool; TypeError where it is no yes or no."""
    if flag is None or isinstance(flag, bool | np.bool_ | int | np.integer):
        return bool(flag)
    raise TypeError(f"dataset {key!r}: {name} is True or False, not {flag!r:.80}")


def check_sendable(key: str, value: Any, metadata: Metadata, *, v1: bool) -> None:
    """Raise where a dataset could not be sent to those who follow the datasets, or not be read by them.

    Args:
        key: Name of the dataset.
        value: Its value, or a part that is added.
        metadata: Its metadata.
        v1: Whether there may be subscribers that read PYON v1.

    Raises:
        TypeError, ValueError: It has no encoding; the text names the dataset and the part.

    """
    if not metadata and (type(value) in _PLAIN or (type(value) is int and abs(value) < _SMALL_INT)):
        return
    try:
        pyon.check((value, metadata))
        if v1:
            pyon_v1.check((value, metadata))
    except (TypeError, ValueError) as error:
        reason = str(error).replace("value[0]", "the value", 1)
        raise _kind(error)(
            f"dataset {key!r} can be neither shown nor kept by a database: {reason}. Set it without broadcast and "
            "persist to keep it in the result file"
        ) from None


def _checked(key: str, name: Any, given: Any) -> Any:
    """Return one of the metadata, checked."""
    if name == "unit":
        if not isinstance(given, str):
            raise TypeError(f"dataset {key!r}: its unit is a str, not {type(given).__name__}")
        return _text(key, given)
    if name == "scale":
        return _number(key, given)
    if name == "precision":
        return _digits(key, given)
    if not isinstance(name, str):
        raise TypeError(f"dataset {key!r}: the name of a metadatum is a str, not {name!r:.80}")
    try:
        own = own_copy(given, 1)
        pyon.check({name: own})
    except (TypeError, ValueError) as error:
        raise _kind(error)(f"dataset {key!r}: its {name} cannot be kept: {error}") from None
    return own


def _kind(error: TypeError | ValueError) -> type[TypeError | ValueError]:
    """Return the class for an error in other words; a class of its own may take other arguments."""
    return TypeError if isinstance(error, TypeError) else ValueError


def _text(key: str, given: str) -> str:
    text = str.__str__(given)
    kept = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    if kept != text:
        _log.warning("dataset %.80s: its unit is no text of UTF-8, it is kept as %.80s", key, kept)
    return kept


def _number(key: str, given: Any) -> int | float:
    if isinstance(given, bool | np.complexfloating) or not isinstance(given, _NUMBERS):
        raise TypeError(f"dataset {key!r}: its scale is a number, not {given!r:.80}")
    try:
        # A float holds every whole number up to this one.
        return given if isinstance(given, int) and abs(given) < _SMALL_INT else float(given)
    except OverflowError:
        raise ValueError(f"dataset {key!r}: its scale is too large: {_short(given)}") from None


def _digits(key: str, given: Any) -> int:
    try:
        digits = operator.index(int(given) if isinstance(given, float) and given.is_integer() else given)
    except TypeError:
        raise TypeError(f"dataset {key!r}: its precision is a whole number, not {given!r:.80}") from None
    if abs(digits) > _MAX_DIGITS:
        raise ValueError(f"dataset {key!r}: its precision is out of range: {_short(digits)}")
    return digits


def _short(number: Any) -> str:
    return f"about 2**{number.bit_length()}" if isinstance(number, int) else f"{number!r:.80}"

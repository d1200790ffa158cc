"""The storage settings of a dataset: which there are, and what each may be."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

NUMBERS: Final = "biufc"
"""Kinds of NumPy types that may be stored as another type."""

_COMPRESSIONS: Final = ("gzip", "lzf", None)


def checked_settings(key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the storage settings of a dataset, as the journal keeps them.

    Args:
        key: Name of the dataset, for messages.
        settings: Any of `compression` ("gzip", "lzf", None), `level` (0 to 9, of gzip), `shuffle` (bool), `chunks`
            (a size for each dimension, rows first), `dtype` (of NumPy, for numbers).

    Raises:
        ValueError: There is no such setting, or it has no such value.

    """
    try:
        checked = {name: _CHECKS[name](value) for name, value in settings.items()}
    except KeyError as error:
        raise ValueError(
            f"storage of dataset {key!r}: there is no setting {error.args[0]!r}; there are {', '.join(_CHECKS)}"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"storage of dataset {key!r}: {error}") from None
    if checked.get("compression", "gzip") != "gzip" and "level" in checked:
        raise ValueError(f"storage of dataset {key!r}: a level is for the compression 'gzip' only")
    return checked


def _compression(value: Any) -> str | None:
    if value not in _COMPRESSIONS:
        raise ValueError(f"compression is 'gzip', 'lzf' or None, not {value!r}")
    return None if value is None else str(value)


def _level(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9:
        raise ValueError(f"level is an int from 0 to 9, not {value!r}")
    return value


def _shuffle(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"shuffle is True or False, not {value!r}")
    return value


def _chunks(value: Any) -> list[int]:
    sizes = [value] if isinstance(value, int) else list(value)
    if not sizes or not all(
        isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes
    ):
        raise ValueError(f"chunks are positive sizes, one a dimension, not {value!r}")
    return sizes


def _dtype(value: Any) -> str:
    dtype = np.dtype(value)
    if dtype.kind not in NUMBERS or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise ValueError(f"dtype is one of numbers, not {dtype}")
    return str(dtype.str)


_CHECKS: Final[Mapping[str, Any]] = {
    "compression": _compression,
    "level": _level,
    "shuffle": _shuffle,
    "chunks": _chunks,
    "dtype": _dtype,
}

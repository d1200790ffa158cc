"""How single datasets are stored in the HDF5 file, where the default is not what a run wants."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from rexec.results.forms import Form, form_of, opaque_form

_COMPRESSIONS: Final = ("gzip", "lzf", None)
_KINDS: Final = "biufc"


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


def stored(data: Any, settings: Mapping[str, Any]) -> Any:
    """Return numbers as the type that the settings ask for, or None where it cannot hold them.

    Floats may lose digits, as was asked for; nothing may become another whole number, infinite, or real.

    Args:
        data: What h5py is given.
        settings: As returned by `checked_settings`.

    """
    wanted = settings.get("dtype")
    if wanted is None or getattr(data, "dtype", None) is None or data.dtype.kind not in _KINDS:
        return data
    if data.dtype.kind == "c" and np.dtype(wanted).kind != "c":
        return None
    with np.errstate(all="ignore"):
        cast = np.asarray(data).astype(wanted)
        if data.dtype.kind in "fc" and cast.dtype.kind in "fc":
            fits = np.array_equal(np.isfinite(cast), np.isfinite(data))
        else:
            fits = np.array_equal(cast.astype(data.dtype), data)
    return cast[()] if fits else None


def form_in_file(value: Any, settings: Mapping[str, Any], *, opaque: bool = False) -> Form:
    """Return the form of a value under its storage settings; a type that cannot hold it is not used.

    Args:
        value: The value of a dataset.
        settings: As returned by `checked_settings`.
        opaque: Whether HDF5 has refused the value's own form.

    """
    form = opaque_form(value) if opaque else form_of(value)
    if "rexec_form" in form.attributes or form.dtype is not None:
        return form
    data = stored(form.data, settings)
    return form if data is None else replace(form, data=data)


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
    if dtype.kind not in _KINDS or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise ValueError(f"dtype is one of numbers, not {dtype}")
    return str(dtype.str)


_CHECKS: Final[Mapping[str, Any]] = {
    "compression": _compression,
    "level": _level,
    "shuffle": _shuffle,
    "chunks": _chunks,
    "dtype": _dtype,
}

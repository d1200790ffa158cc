"""The form of a dataset in the HDF5 file under its storage settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rexec.results.hdf5.forms import Form, form_of, opaque_form
from rexec.results.storage_settings import NUMBERS


def stored(data: Any, settings: Mapping[str, Any]) -> Any:
    """Return numbers as the type that the settings ask for, or None where it cannot hold them.

    Floats may lose digits, as was asked for; nothing may become another whole number, infinite, or real.

    Args:
        data: What h5py is given.
        settings: As returned by `checked_settings`.

    """
    wanted = settings.get("dtype")
    if wanted is None or getattr(data, "dtype", None) is None or data.dtype.kind not in NUMBERS:
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


def form_in_file(value: Any, settings: Mapping[str, Any], *, opaque: bool) -> Form:
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

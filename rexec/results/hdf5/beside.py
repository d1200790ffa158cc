"""What belongs to a dataset and is no part of its array (a mask, an index, coordinates): under `/rexec/beside`.

The dataset has the path of the group in the attribute `rexec_beside`. Each part is a dataset of its own form, a dict of
parts a group.
"""

from collections.abc import Mapping
from typing import Any, Final

import h5py
import numpy as np

from rexec.results.hdf5.checksums import checksum
from rexec.results.hdf5.forms import EXACT, Form, form_of, opaque_form
from rexec.results.hdf5.rows import storable
from rexec.results.hdf5.storage import storage_of

_ROOT: Final = "/rexec/beside"


def write_beside(dataset: h5py.Dataset, parts: Mapping[str, Any]) -> None:
    """Write the parts of a dataset that has none yet."""
    name = dataset.name
    path = f"{name} (beside)" if name.startswith(f"{_ROOT}/") else f"{_ROOT}{name}"
    # First, so that `remove_beside` finds them if HDF5 refuses one.
    dataset.attrs["rexec_beside"] = path
    _write_parts(dataset.file.require_group(path), parts)


def remove_beside(dataset: h5py.Dataset) -> None:
    """Remove the parts of a dataset, where it has any."""
    path = dataset.attrs.get("rexec_beside")
    if path is not None and path in dataset.file:
        del dataset.file[path]


def form_of_part(name: str, value: Any) -> Form | None:
    """Return the form of a part; None for a dict that is a group of parts."""
    if type(value) is dict and value and all(map(_is_name, value)):
        return None
    return opaque_form(value) if name == EXACT else form_of(value)


def _write_parts(group: h5py.Group, parts: Mapping[str, Any]) -> None:
    for name, value in parts.items():
        form = form_of_part(name, value)
        if form is None:
            inner = group.create_group(name)
            inner.attrs["rexec_part"] = True
            _write_parts(inner, value)
            continue
        part = group.create_dataset(name, data=form.data, dtype=form.dtype, **storage_of(form, {}))
        for attribute, text in form.attributes.items():
            part.attrs[attribute] = text
        part.attrs["rexec_crc32"] = np.uint32(checksum(form.data))
        if form.beside:
            write_beside(part, form.beside)


def _is_name(name: object) -> bool:
    """Return whether HDF5 takes a key of a dict for the name of one link, which is not one of ours."""
    return (
        type(name) is str
        and name not in {"", "."}
        and "/" not in name
        and name == storable(name)
        and not name.endswith(" (beside)")
    )

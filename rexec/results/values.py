"""Values back from HDF5: the inverse of `forms`, also for files that ARTIQ wrote."""

from typing import Any, Final

import h5py
import numpy as np

from rexec.results._decode import decode
from rexec.wire import pyon, pyon_v1

_SCALARS: Final[dict[str, Any]] = {"int": int, "float": float, "complex": complex, "bool": bool}


def value_of(dataset: h5py.Dataset) -> Any:
    """Return the value of a dataset as the Python object that was given to `set_dataset`.

    A dataset without our attributes (ARTIQ's) comes back as h5py gives it, strings as str.

    Raises:
        ValueError: Its content contradicts its attributes.

    """
    form = dataset.attrs.get("rexec_form")
    kind = str(dataset.attrs.get("rexec_type", ""))
    if form == "pyon":
        return pyon.decode(dataset.asstr()[()])
    if form == "journal":
        return decode(dataset[()].tobytes())[0]
    data = dataset[()]
    if form == "vlen":
        return _container(kind.split()[0])(list(data))
    if (
        form == "repr"
        or kind == "str"
        or (not kind and h5py.check_string_dtype(dataset.dtype) and not dataset.shape)
    ):
        return data.decode() if isinstance(data, bytes) else data
    return _of_type(dataset, data, kind)


def metadata_of(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return the metadata of a dataset: those given of unit, scale, precision."""
    metadata: dict[str, Any] = {}
    for name, convert in (("unit", str), ("scale", float), ("precision", int)):
        if name in dataset.attrs:
            metadata[name] = convert(dataset.attrs[name])
    if "rexec_metadata" in dataset.attrs:
        metadata |= pyon.decode(dataset.attrs["rexec_metadata"])
    return metadata


def pyon_of(text: str | bytes) -> Any:
    """Return the value of PYON text of either version, as ARTIQ of any release wrote it."""
    data = text.encode() if isinstance(text, str) else text
    try:
        return pyon.decode(data)
    except (TypeError, ValueError):
        return pyon_v1.decode(data)


def _of_type(dataset: h5py.Dataset, data: Any, kind: str) -> Any:
    if kind in _SCALARS:
        return _SCALARS[kind](data)
    if kind == "bytes":
        return data.tobytes() if isinstance(data, np.void) else bytes(data)
    if kind == "ndarray":
        return _array(dataset, data)
    words = kind.split()
    if words and words[0] in {"list", "tuple"}:
        return _sequence(words, data)
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[()].tolist()
    return data


def _array(dataset: h5py.Dataset, data: Any) -> Any:
    array = np.asarray(data)
    dtype = dataset.attrs.get("rexec_dtype")
    if dtype is None:
        return array
    if str(dtype)[1:2] == "U":
        return np.asarray(dataset.asstr()[()]).astype(str(dtype))
    return array.view(str(dtype))


def _sequence(words: list[str], data: Any) -> Any:
    container = _container(words[0])
    leaf = words[-1]
    if leaf == "str":
        return container(item.decode() for item in data)
    if leaf == "ndarray":
        return container(np.array(row) for row in data)
    if leaf == "npscalar":
        return container(data)
    return _nested(words[: data.ndim], data.tolist())


def _nested(containers: list[str], items: Any) -> Any:
    if not containers:
        return items
    return _container(containers[0])(_nested(containers[1:], item) for item in items)


def _container(name: str) -> Any:
    if name not in {"list", "tuple"}:
        raise ValueError(f"a sequence is a list or a tuple, not {name!r}")
    return list if name == "list" else tuple

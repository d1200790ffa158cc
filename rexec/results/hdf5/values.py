"""Values back from HDF5: the inverse of `forms`, also for files that ARTIQ wrote."""

from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a

from rexec.ground.originals import add_maker, object_array, original
from rexec.ground.plain import Converted
from rexec.results.hdf5.forms import EXACT
from rexec.results.hdf5.inside import member, outside
from rexec.results.hdf5.rows import back_from_rows, container
from rexec.results.journal._decode import decode
from rexec.results.journal._encode import PYON_TEXT
from rexec.wire import pyon, pyon_v1

_SCALARS: Final[dict[str, Any]] = {"int": int, "float": float, "complex": complex, "bool": bool}

add_maker(PYON_TEXT, lambda text, _: pyon.decode(text))


class Attributes:
    """The attributes of a dataset, each read when it is asked for.

    One look tells which there are: asking HDF5 for one that is missing costs more than reading one that is there.

    Args:
        dataset: The dataset.

    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._attributes = dataset.attrs
        names: list[bytes] = []
        h5a.iterate(dataset.id, names.append)
        self._names = frozenset(name.decode("utf-8", "surrogateescape") for name in names)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute, or a default."""
        return self._attributes[name] if name in self._names else default

    def __getitem__(self, name: str) -> Any:
        return self._attributes[name]

    def __contains__(self, name: str) -> bool:
        return name in self._names


def value_of(dataset: h5py.Dataset, attributes: Attributes | None = None) -> Any:
    """Return the value of a dataset as the Python object that was given to `set_dataset`.

    Objects of classes that are made again from a fixed list (masked arrays, pandas, xarray, dates, …) come back as
    such, other objects by their content. A dataset without our attributes (ARTIQ's) comes back as h5py gives it,
    strings as str.

    Args:
        dataset: The dataset.
        attributes: Its attributes; None: they are looked up.

    Raises:
        ValueError: Its content contradicts its attributes.

    """
    attributes = attributes or Attributes(dataset)
    parts = _parts_beside(dataset, attributes)
    value = parts.pop(EXACT) if EXACT in parts else original(_data_of(dataset, attributes))
    name = attributes.get("rexec_class")
    return value if name is None else original(Converted(str(name), value, parts))


def metadata_of(attributes: Attributes) -> dict[str, Any]:
    """Return the metadata of a dataset: those given of unit, scale, precision."""
    metadata: dict[str, Any] = {}
    for name, convert in (("unit", str), ("scale", float), ("precision", int)):
        if name in attributes:
            metadata[name] = convert(attributes[name])
    if "rexec_metadata" in attributes:
        metadata |= pyon.decode(attributes["rexec_metadata"])
    return metadata


def pyon_of(text: str | bytes) -> Any:
    """Return the value of PYON text of either version, as ARTIQ of any release wrote it."""
    data = text.encode() if isinstance(text, str) else text
    try:
        return pyon.decode(data)
    except (TypeError, ValueError):
        return pyon_v1.decode(data)


def _parts_beside(dataset: h5py.Dataset, attributes: Attributes) -> dict[str, Any]:
    path = attributes.get("rexec_beside")
    group = None if path is None else member(dataset.file, str(path).strip("/"), h5py.Group)
    return {} if group is None else _tree(group)


def _tree(group: h5py.Group) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in group:
        node = member(group, name, h5py.Dataset | h5py.Group)
        if isinstance(node, h5py.Group):
            if "rexec_part" in node.attrs:
                found[name] = _tree(node)
        elif node is not None and outside(node) is None:
            found[name] = value_of(node)
    return found


def _data_of(dataset: h5py.Dataset, attributes: Attributes) -> Any:
    form = attributes.get("rexec_form")
    kind = str(attributes.get("rexec_type", ""))
    if form == "pyon":
        return pyon.decode(dataset.asstr()[()])
    if form == "journal":
        return decode(dataset[()].tobytes())[0]
    data = dataset[()]
    if form == "vlen":
        items = list(data)
        return object_array(items, (len(items),)) if kind == "ndarray" else container(kind.split()[0])(items)
    if (
        form == "repr"
        or kind == "str"
        or (not kind and h5py.check_string_dtype(dataset.dtype) and not dataset.shape)
    ):
        return data.decode() if isinstance(data, bytes) else data
    return _of_type(dataset, data, kind)


def _of_type(dataset: h5py.Dataset, data: Any, kind: str) -> Any:
    if kind in _SCALARS:
        return _SCALARS[kind](data)
    if kind == "bytes":
        return data.tobytes() if isinstance(data, np.void) else bytes(data)
    if kind == "ndarray":
        return _array(dataset, data)
    if kind == "npscalar":
        return _array(dataset, data)[()]
    words = kind.split()
    if words and words[0] in {"list", "tuple"}:
        return _sequence(dataset, words, data)
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[()].tolist()
    return data


def _array(dataset: h5py.Dataset, data: Any) -> Any:
    array = np.asarray(data)
    dtype = dataset.attrs.get("rexec_dtype")
    strings = h5py.check_string_dtype(dataset.dtype)
    if dtype is None:
        return array
    if str(dtype)[1:2] == "U":
        return np.asarray(dataset.asstr()[()]).astype(str(dtype))
    if str(dtype) == "|O":
        return array.astype(object) if strings is None or strings.encoding == "ascii" else dataset.asstr()[()]
    return array.view(str(dtype))


def _sequence(dataset: h5py.Dataset, words: list[str], data: Any) -> Any:
    leaf = words[-1]
    if leaf == "str":
        return back_from_rows([*words[:-1], "number"], np.asarray(dataset.asstr()[()]))
    if leaf == "ndarray":
        return container(words[0])(np.array(row) for row in data)
    if leaf == "npscalar" and "rexec_dtype" in dataset.attrs:
        data = _array(dataset, data)
    return back_from_rows(words, data)

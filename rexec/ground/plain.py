"""What NumPy makes of a value of any class: the one conversion that journal, result file and tables share.

A plain value is made of Python's scalars and containers, NumPy's arrays and scalars, and the two marked kinds of this
module. `simpler` leads from any other class to them, one step at a time, in the order of cost.
"""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import sys
import types
import uuid
import warnings
from collections import UserString
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import fields
from typing import Any, Final

import numpy as np

MAX_DEPTH: Final = 64
"""Deepest nesting of containers in a value: every writer and reader takes it, inside their own messages, too.

A tuple or a dict costs up to four levels of PYON's 300, and three of the 200 brackets that Python reads (PYON v1).
"""

RAW_KINDS: Final = frozenset("biufcSUVmM")
"""Kinds of NumPy's types whose bytes are the value."""


class TooDeep(ValueError):
    """A value is nested deeper than `MAX_DEPTH`, or holds itself."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A value of a class that nothing knows: only its text was kept."""

    text: str
    type_name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Converted:
    """A value of another class, as what NumPy (or its own standard form) makes of it.

    Attributes:
        type_name: Its class, with the module.
        data: Its content, a plain value.
        beside: What else belongs to it, such as `mask`, `index` or `coords`, by name.

    """

    type_name: str
    data: Any
    beside: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change a part of a masked array; TypeError for any other class, whose indexes only it knows."""
        if self.type_name != MASKED:
            raise TypeError(f"a part of a {self.type_name} cannot be set by an index")
        mask = self.beside.get("mask")
        changed = np.ma.array(self.data, mask=np.ma.nomask if mask is None else mask, copy=False)
        changed[index] = _as_masked(value)
        self.beside["mask"] = np.ma.getmaskarray(changed)


def _as_masked(value: Any) -> Any:
    if isinstance(value, Converted) and value.type_name == MASKED_SCALAR:
        return np.ma.masked
    if isinstance(value, Converted):
        return np.ma.array(value.data, mask=value.beside.get("mask", np.ma.nomask))
    return value


MASKED: Final = "numpy.ma.MaskedArray"
MASKED_SCALAR: Final = "numpy.ma.MaskedConstant"
ENUM_ARRAY: Final = "h5py.enum"


def type_name(value: object) -> str:
    """Return the name of a value's class, with its module."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def simpler(value: Any) -> Any:
    """Return a value of a class that is not plain as one that is nearer to it; its parts may be of any class.

    Total: a class that nothing knows, or that fails when it is looked at, becomes its whole text.
    """
    for convert in _CONVERSIONS:
        try:
            found = convert(value)
        except Exception:  # a class of any sort may fail in any way when it is looked at
            found = None
        if found is not None and found is not value:
            return found
    return _text(value)


def _base(value: Any) -> Any:
    """Return the number or text that an object of a subclass of Python's scalars is."""
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, complex):
        return complex.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    return bytes.__getitem__(value, slice(None)) if isinstance(value, bytes) else None


def _enum(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return Converted(type_name(value), value.value, {"name": value.name})
    return None


def _masked_array(value: Any) -> Any:
    if isinstance(value, np.ma.core.MaskedConstant):
        return Converted(MASKED_SCALAR, np.float64(0.0))
    if not isinstance(value, np.ma.MaskedArray):
        return None
    beside = {"fill_value": np.asarray(value.fill_value)[()]}
    if value.mask is not np.ma.nomask:
        beside["mask"] = np.array(np.ma.getmaskarray(value))
    return Converted(MASKED, np.asarray(value.data), beside)


def _array(value: Any) -> Any:
    """Return an array of a subclass, or one whose bytes are not its value, by arrays and scalars that are plain."""
    if isinstance(value, np.generic):
        return Converted(type_name(value), value.item())
    if not isinstance(value, np.ndarray):
        return None
    array = np.asarray(value)
    if array.dtype.kind == "T":
        return array.astype(object)
    if array.dtype.kind == "O":
        return None if array is value else array
    if array.dtype.hasobject or array.dtype.kind not in RAW_KINDS:
        return Converted(type_name(value), array.tolist())
    metadata: Any = array.dtype.metadata or {}
    mapping = metadata.get("enum")
    if array.dtype.metadata is not None and array.dtype.names is None:
        array = array.view(array.dtype.str)
    if mapping is not None:
        return Converted(ENUM_ARRAY, array, {"enum": dict(mapping)})
    unit = _unit(value)
    return Converted(type_name(value), array, unit) if unit else array


def _unit(value: Any) -> dict[str, str]:
    """Return the unit of a quantity (astropy, pint), which NumPy's conversion loses."""
    for name in ("unit", "units"):
        unit = getattr(value, name, None)
        if unit is not None and not callable(unit) and not isinstance(unit, np.ndarray | np.generic):
            return {"unit": str(unit)}
    return {}


def _pandas(value: Any) -> Any:
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    if isinstance(value, pandas.Series):
        beside = {"index": value.index, "name": value.name, "dtype": str(value.dtype)}
        return Converted("pandas.Series", np.asarray(value), beside)
    if isinstance(value, pandas.DataFrame):
        data: Any = np.asarray(value)
        if data.dtype.kind == "O" and value.columns.is_unique:
            data = {name: np.asarray(value[name]) for name in value.columns}
        dtypes = [str(dtype) for dtype in value.dtypes]
        beside = {"index": value.index, "columns": value.columns, "dtypes": dtypes}
        return Converted("pandas.DataFrame", data, beside)
    if isinstance(value, pandas.Index):
        beside = {"names": list(value.names), "dtype": str(value.dtype)}
        return Converted("pandas.Index", np.asarray(value), beside)
    if value is pandas.NA:
        return Converted("pandas.NA", None)
    if value is pandas.NaT or isinstance(value, pandas.Timestamp):
        zone = getattr(value, "tz", None)
        return Converted("pandas.Timestamp", value.to_datetime64(), {"zone": str(zone)} if zone else {})
    if isinstance(value, pandas.Timedelta):
        return Converted("pandas.Timedelta", value.to_timedelta64())
    return None


def _xarray(value: Any) -> Any:
    xarray = sys.modules.get("xarray")
    if xarray is None:
        return None
    if isinstance(value, xarray.Dataset):
        variables = {name: value[name].variable for name in value.data_vars}
        return Converted("xarray.Dataset", variables, {"coords": _coords(value), "attrs": dict(value.attrs)})
    if isinstance(value, xarray.DataArray):
        beside = {"dims": list(value.dims), "coords": _coords(value)}
        beside |= {"name": value.name, "attrs": dict(value.attrs)}
        return Converted("xarray.DataArray", np.asarray(value), beside)
    if isinstance(value, xarray.Variable):
        beside = {"dims": list(value.dims), "attrs": dict(value.attrs)}
        return Converted("xarray.Variable", np.asarray(value), beside)
    return None


def _coords(value: Any) -> dict[Any, Any]:
    return {name: value.coords[name].variable for name in value.coords}


def _standard(value: Any) -> Any:
    """Return an object of the standard library by its own text or parts."""
    if isinstance(value, range):
        return Converted(
            "builtins.range", np.asarray(value), {"arguments": (value.start, value.stop, value.step)}
        )
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return Converted(f"{kind.__module__}.{kind.__qualname__}", text(value))
    if isinstance(value, datetime.timedelta):
        return Converted("datetime.timedelta", (value.days, value.seconds, value.microseconds))
    return None


_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    datetime.datetime: lambda value: str(value.isoformat()),
    datetime.date: lambda value: str(value.isoformat()),
    datetime.time: lambda value: str(value.isoformat()),
    decimal.Decimal: str,
    uuid.UUID: str,
    pathlib.PurePath: str,
    UserString: str,
}


def _container(value: Any) -> Any:
    """Return Python's own containers and their subclasses."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        return (
            tuple(value)
            if names is None
            else Converted(type_name(value), tuple(value), {"fields": list(names)})
        )
    if isinstance(value, list):
        return list(value)
    if isinstance(value, Mapping):
        return {key: value[key] for key in list(value)}
    if isinstance(value, frozenset):
        return frozenset(value)
    return set(value) if isinstance(value, Set) else None


def _by_protocol(value: Any) -> Any:
    """Return the array of an object that says itself that it is one, by a protocol of NumPy or as a buffer."""
    if isinstance(value, type):
        return None
    if not any(hasattr(value, name) for name in ("__array__", "__array_interface__", "__array_struct__")):
        memoryview(value)  # TypeError: no buffer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that are lost, which are kept beside
        array = np.asarray(value)
    return Converted(type_name(value), array, _unit(value)) if array.dtype.kind != "O" or array.ndim else None


def _parts(value: Any) -> Any:
    """Return an object with parts by these."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return Converted(
            type_name(value), {field.name: getattr(value, field.name) for field in fields(value)}
        )
    if isinstance(value, types.SimpleNamespace):
        return Converted(type_name(value), dict(vars(value)))
    is_sequence = hasattr(type(value), "__len__") and hasattr(type(value), "__getitem__")
    if is_sequence or isinstance(value, Collection):
        return Converted(type_name(value), list(value))
    return None


def _text(value: Any) -> Unreadable:
    try:
        text = repr(value)
    except Exception as error:  # a class may fail in any way to print itself
        text = f"<{type(value).__qualname__} whose repr failed: {error}>"
    return Unreadable(str.__str__(text), type_name(value))


_CONVERSIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    _base,
    _enum,
    _masked_array,
    _array,
    _pandas,
    _xarray,
    _standard,
    _container,
    _by_protocol,
    _parts,
)

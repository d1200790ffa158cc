"""Objects made again of what `plain` has kept of them: from a fixed table of classes, nothing is evaluated."""

import datetime
import decimal
import pathlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from rexec.ground.plain import MASKED, MASKED_SCALAR, Converted


def original(value: Any) -> Any:
    """Return a plain value with objects of the classes that this module knows; of the others their data."""
    kind = type(value)
    if kind is Converted:
        return _made_again(value)
    if kind is list or kind is tuple:
        return kind(map(original, value))
    if kind is set or kind is frozenset:
        return kind(map(_key, value))
    if kind is dict or kind is OrderedDict:
        return kind((_key(key), original(item)) for key, item in value.items())
    if kind is np.ndarray and value.dtype.kind == "O":
        return object_array(map(original, value.reshape(-1)), value.shape)
    return value


def add_maker(type_name: str, make: Callable[[Any, dict[str, Any]], Any]) -> None:
    """Have objects of a further class made again, from their data and what is beside it."""
    _MAKERS[type_name] = make


def object_array(items: Iterable[Any], shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    """Return an array of objects, each as it is, also where they are sequences."""
    array = np.empty(shape, object)
    flat = array.reshape(-1)
    for number, item in enumerate(items):
        flat[number] = item
    return array


def _key(value: Any) -> Any:
    made = original(value)
    try:
        hash(made)
    except TypeError:
        return value
    return made


def _made_again(value: Converted) -> Any:
    make = _MAKERS.get(value.type_name)
    data = original(value.data)
    if make is None:
        return data
    try:
        return make(data, original(value.beside))
    except Exception:  # a library is missing or too old, or a file says what no value is
        return data


def _as_masked(data: Any, beside: dict[str, Any]) -> Any:
    return np.ma.array(data, mask=beside.get("mask", np.ma.nomask), fill_value=beside.get("fill_value"))


def _series(data: Any, beside: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.Series(data, index=beside["index"], name=beside["name"]).astype(beside["dtype"])


def _frame(data: Any, beside: dict[str, Any]) -> Any:
    import pandas as pd

    frame = pd.DataFrame(data, index=beside["index"], columns=beside["columns"])
    return frame.astype(dict(zip(frame.columns, beside["dtypes"], strict=True)))


def _index(data: Any, beside: dict[str, Any]) -> Any:
    import pandas as pd

    names = beside["names"]
    if len(names) > 1:
        return pd.MultiIndex.from_tuples(list(data), names=names)
    return pd.Index(data, name=names[0]).astype(beside["dtype"])


def _timestamp(data: Any, beside: dict[str, Any]) -> Any:
    import pandas as pd

    stamp = pd.Timestamp(data)
    return stamp.tz_localize("UTC").tz_convert(beside["zone"]) if "zone" in beside else stamp


def _timedelta(data: Any, _: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.Timedelta(data)


def _missing(_: Any, __: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.NA


def _variable(data: Any, beside: dict[str, Any]) -> Any:
    import xarray

    return xarray.Variable(beside["dims"], data, beside["attrs"])


def _data_array(data: Any, beside: dict[str, Any]) -> Any:
    import xarray

    return xarray.DataArray(data, beside["coords"], beside["dims"], beside["name"], beside["attrs"])


def _dataset(data: Any, beside: dict[str, Any]) -> Any:
    import xarray

    return xarray.Dataset(data, beside["coords"], beside["attrs"])


_MAKERS: Final[dict[str, Callable[[Any, dict[str, Any]], Any]]] = {
    MASKED: _as_masked,
    MASKED_SCALAR: lambda _, __: np.ma.masked,
    "builtins.range": lambda _, beside: range(*beside["arguments"]),
    "datetime.datetime": lambda text, _: datetime.datetime.fromisoformat(text),
    "datetime.date": lambda text, _: datetime.date.fromisoformat(text),
    "datetime.time": lambda text, _: datetime.time.fromisoformat(text),
    "datetime.timedelta": lambda parts, _: datetime.timedelta(*parts),
    "decimal.Decimal": lambda text, _: decimal.Decimal(text),
    "uuid.UUID": lambda text, _: uuid.UUID(text),
    "pathlib.PurePath": lambda text, _: pathlib.PurePath(text),
    "pandas.Series": _series,
    "pandas.DataFrame": _frame,
    "pandas.Index": _index,
    "pandas.Timestamp": _timestamp,
    "pandas.Timedelta": _timedelta,
    "pandas.NA": _missing,
    "xarray.Variable": _variable,
    "xarray.DataArray": _data_array,
    "xarray.Dataset": _dataset,
}

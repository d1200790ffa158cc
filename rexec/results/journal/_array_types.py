"""Types of NumPy's arrays as JSON in a journal, and back."""

import json
from functools import lru_cache
from typing import Any

import numpy as np

from rexec.ground.plain import RAW_KINDS


def described(dtype: "np.dtype[Any]") -> bytes:
    """Return the description of a type."""
    return json.dumps(_parts(dtype)).encode("ascii")


def _parts(dtype: "np.dtype[Any]") -> Any:
    """Return a type for JSON: its text, [type, shape] of a field that is an array, or a dict of its fields."""
    if dtype.subdtype is not None:
        return [_parts(dtype.subdtype[0]), list(dtype.subdtype[1])]
    if dtype.fields is None or dtype.names is None:
        return dtype.str
    found = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_parts(field[0]) for field in found],
        "offsets": [field[1] for field in found],
        "titles": [field[2] if len(field) > 2 and isinstance(field[2], str) else None for field in found],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


@lru_cache(maxsize=256)
def dtype_of(description: bytes) -> "np.dtype[Any]":
    """Return the type of a description; ValueError where there is none."""
    dtype = _typed(json.loads(description))
    if dtype.hasobject or dtype.kind not in RAW_KINDS:
        raise ValueError(f"no array of {dtype} is kept by its bytes")
    return dtype


def _typed(part: Any) -> "np.dtype[Any]":
    if isinstance(part, dict):
        given = {name: part[name] for name in ("names", "formats", "offsets", "titles", "itemsize")}
        fields: Any = given | {"formats": list(map(_typed, given["formats"]))}
        return np.dtype(fields, align=part.get("aligned") is True)  # type: ignore[no-any-return]
    if (
        isinstance(part, list)
        and len(part) == 2
        and isinstance(part[0], str | dict)
        and isinstance(part[1], list)
    ):
        return np.dtype((_typed(part[0]), tuple(part[1])))
    if isinstance(part, list):
        return np.lib.format.descr_to_dtype(_fields(part))
    if not isinstance(part, str):
        raise ValueError("no type of NumPy")
    return np.dtype(part)


def _fields(part: list[Any]) -> list[Any]:
    """Return the fields of a structure as earlier versions wrote them: JSON has no tuples."""

    def inner(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(part) if all(isinstance(size, int) for size in part) else _fields(part)
        return part

    return [tuple(map(inner, field)) for field in part]

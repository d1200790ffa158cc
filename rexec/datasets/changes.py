"""Changes inside datasets: done, undone, and read from the modifications that clients send."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from rexec.datasets.indexing import Index, canonical_index
from rexec.datasets.types import Metadata, Mod

_SCALARS: Final = (bool, int, float, complex, str, bytes)
_NUMBERS: Final = "biufc"


@dataclass(frozen=True)
class DatasetChange:
    """What a modification means for one dataset; `other` is one too deep to name, the dataset is then set."""

    kind: Literal["set", "delete", "append", "mutate", "other"]
    key: str
    index: Any = None
    value: Any = None


def client_change(mod: Mod) -> DatasetChange:
    """Return the meaning of a modification of a dataset database, which must be well formed."""
    action, path = mod["action"], list(mod["path"])
    if not path:
        return DatasetChange("delete" if action == "delitem" else "set", mod["key"])
    key = path[0]
    if path[1:] == [1]:
        if action == "append":
            return DatasetChange("append", key, value=mod["x"])
        if action == "setitem":
            return DatasetChange("mutate", key, mod["key"], mod["value"])
    return DatasetChange("other", key)


def put_at(target: Any, index: Index, value: Any) -> Any:
    """Do `target[index] = value`; `undo_at` made before it undoes that, also where it raised.

    Args:
        target: A list, array or dict.
        index: In the form of `rexec.datasets.indexing`.
        value: Any value that the target takes there.

    Returns:
        A value that does the same in a copy of the target elsewhere.

    """
    if isinstance(target, list) and isinstance(index, slice) and not isinstance(value, list | tuple):
        value = list(value)  # an iterator can be read only once
    target[index] = value
    if isinstance(target, np.ndarray) and not _is_plain(value):
        return np.array(target[index], subok=True)
    return value


def _is_plain(value: Any) -> bool:
    """Return whether NumPy makes the same of a value wherever it is read again."""
    if isinstance(value, np.generic):
        return value.dtype.kind in _NUMBERS
    return type(value) in _SCALARS or (type(value) is np.ndarray and not value.dtype.hasobject)


def undo_at(target: Any, index: Index) -> Callable[[], None]:
    """Return what brings back the present state of the part of a target that an index reaches; twice is no error.

    Raises:
        LookupError: There is no such part.

    """
    if isinstance(target, np.ma.MaskedArray):
        data, mask = target.data.copy(), np.ma.getmaskarray(target).copy()

        def undo_masked() -> None:
            target.mask = False
            target.data[...] = data
            target.mask = mask

        return undo_masked
    if isinstance(target, np.ndarray):
        part = np.array(target[index])

        def undo_array() -> None:
            target[index] = part

        return undo_array
    if isinstance(target, dict):
        items = dict(target)

        def undo_dict() -> None:
            target.clear()
            target.update(items)

        return undo_dict
    if isinstance(index, slice):
        everything = list(target)

        def undo_list() -> None:
            target[:] = everything

        return undo_list
    before = target[index]

    def undo() -> None:
        target[index] = before

    return undo


def check_appendable(key: str, value: Any) -> None:
    """Raise TypeError unless `value` is a list."""
    if not isinstance(value, list):
        raise TypeError(
            f"cannot append to dataset {key!r}: it is {_named(value)}, not a list; set it to [] first, or "
            "use mutate_dataset on an array of the full length"
        )


def inner_path(mod: Mod) -> list[Any]:
    """Return the path of a modification: empty, or the name of a dataset, the place in its entry, and further ones.

    Raises:
        TypeError, ValueError: It is none.

    """
    if not isinstance(mod, dict):
        raise TypeError(f"a modification is a dict, not {type(mod).__name__}")
    path = mod.get("path")
    if not isinstance(path, list | tuple):
        raise ValueError(f"a modification has a path, a list: {mod!r:.200}")
    if path and not (len(path) > 1 and isinstance(path[0], str) and path[1] in (1, 2)):
        raise ValueError(
            f"a path is [name, 1, ...] to the value, or [name, 2] to the metadata, not {path!r:.200}"
        )
    return list(path)


def apply_mod(value: Any, mod: Mod) -> Mod:
    """Apply a modification inside the value of a dataset, in place, whole or not at all.

    Args:
        value: The value.
        mod: The modification; its path begins with the name of the dataset and 1, the place of the value.

    Returns:
        The same modification with its index and value in the form that everybody understands.

    Raises:
        LookupError, TypeError, ValueError: The modification does not fit the value, or is none.

    """
    target = value
    for step in mod["path"][2:]:
        target = target[step]
    action = mod["action"]
    if action == "setitem":
        index = canonical_index(target, mod["key"])
        undo = undo_at(target, index)
        try:
            return {**mod, "key": index, "value": put_at(target, index, mod["value"])}
        except BaseException:
            undo()
            raise
    if action not in {"append", "insert", "pop", "delitem"}:
        raise ValueError(f"no such action: {action!r:.80}; use append, insert, pop, setitem or delitem")
    if action == "delitem" and isinstance(target, list | dict):
        index = canonical_index(target, mod["key"])
        del target[index]
        return {**mod, "key": index}
    if not isinstance(target, list):
        raise TypeError(f"{action} changes a list, not {_named(target)}")
    if action == "append":
        target.append(mod["x"])
        return mod
    place = operator.index(mod["i"])
    if action == "insert":
        target.insert(place, mod["x"])
    else:
        target.pop(place)
    return {**mod, "i": place}


def changed_metadata(metadata: Metadata, mod: Mod) -> Metadata:
    """Return metadata after a modification of one of them."""
    changed = dict(metadata)
    if len(mod["path"]) == 2 and mod["action"] == "setitem":
        changed[mod["key"]] = mod["value"]
    elif len(mod["path"]) == 2 and mod["action"] == "delitem":
        del changed[mod["key"]]
    else:
        raise ValueError(
            f"dataset {mod['path'][0]!r}: metadata are changed one by one, by setitem and delitem"
        )
    return changed


def _named(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

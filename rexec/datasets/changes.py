"""Changes inside datasets: done, undone, and read from the modifications that clients send."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rexec.datasets.types import Mod


@dataclass(frozen=True)
class Change:
    """What a modification means for one dataset; `other` is one too deep to name, the dataset is then set."""

    kind: Literal["set", "delete", "append", "mutate", "other"]
    key: str
    index: Any = None
    value: Any = None


def client_change(mod: Mod) -> Change:
    """Return the meaning of a modification of a dataset database, which must be well formed."""
    action, path = mod["action"], list(mod["path"])
    if not path:
        return Change("delete" if action == "delitem" else "set", mod["key"])
    key = path[0]
    if path[1:] == [1]:
        if action == "append":
            return Change("append", key, value=mod["x"])
        if action == "setitem":
            return Change("mutate", key, mod["key"], mod["value"])
    return Change("other", key)


def apply_index(target: Any, index: Any, value: Any) -> Callable[[], None]:
    """Do `target[index] = value` and return what undoes it."""
    if isinstance(target, np.ndarray):
        array_before = np.array(target[index])
        target[index] = value

        def undo_array() -> None:
            target[index] = array_before

        return undo_array
    if isinstance(target, dict):
        dict_before = dict(target)
        target[index] = value

        def undo_dict() -> None:
            target.clear()
            target.update(dict_before)

        return undo_dict
    if not isinstance(target, list):
        raise TypeError(f"a dataset of type {type(target).__name__} has no parts to change")
    if isinstance(index, slice):
        list_before = list(target)
        target[index] = value

        def undo_list() -> None:
            target[:] = list_before

        return undo_list
    before = target[index]
    target[index] = value

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


def apply_mod(struct: dict[str, Any], mod: Mod) -> None:
    """Apply a sync_struct modification to a structure in place.

    Raises:
        KeyError, IndexError, TypeError, ValueError: The modification does not fit the structure, or is none.

    """
    target: Any = struct
    for step in mod["path"]:
        target = target[step]
    action = mod["action"]
    if action == "append":
        target.append(mod["x"])
    elif action == "insert":
        target.insert(mod["i"], mod["x"])
    elif action == "pop":
        target.pop(mod["i"])
    elif action == "setitem":
        target[mod["key"]] = mod["value"]
    elif action == "delitem":
        del target[mod["key"]]
    else:
        raise ValueError(f"no such action: {action!r}; use append, insert, pop, setitem or delitem")


def _named(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

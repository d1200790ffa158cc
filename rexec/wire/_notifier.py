"""A structure whose changes are told, and what a modification is."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from operator import getitem
from typing import Any

Mod = dict[str, Any]
Callback = Callable[[Mod], Any]


class ModAction(Enum):
    """What a modification does; the value is the word on the wire."""

    init = "init"
    append = "append"
    insert = "insert"
    pop = "pop"
    setitem = "setitem"
    delitem = "delitem"


class Notifier:
    """Wraps a structure of dicts, lists and arrays; changes made through it are published.

    Args:
        backing_struct: The structure.
        root: Notifier of the whole structure (internal).
        path: Keys from the root to this part (internal).

    """

    def __init__(self, backing_struct: Any, root: "Notifier | None" = None, path: Sequence[Any] = ()) -> None:
        self.raw_view = backing_struct
        """The structure itself, to be read."""
        self.root = self if root is None else root
        self.publish: Callback | None = None
        """Called with every modification of the root."""
        self._backing_struct = backing_struct
        self._path = list(path)

    def _changed(self, action: ModAction, **what: Any) -> None:
        if self.root.publish is not None:
            self.root.publish({"action": action.value, "path": self._path, **what})

    def append(self, x: Any) -> None:
        """Append to a list."""
        self._backing_struct.append(x)
        self._changed(ModAction.append, x=x)

    def insert(self, i: int, x: Any) -> None:
        """Insert into a list."""
        self._backing_struct.insert(i, x)
        self._changed(ModAction.insert, i=i, x=x)

    def pop(self, i: Any = -1) -> Any:
        """Remove from a list by index, or from a dict by key, and return what was there."""
        result = self._backing_struct.pop(i)
        self._changed(ModAction.pop, i=i)
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        self._backing_struct[key] = value
        self._changed(ModAction.setitem, key=key, value=value)

    def __delitem__(self, key: Any) -> None:
        del self._backing_struct[key]
        self._changed(ModAction.delitem, key=key)

    def __getitem__(self, key: Any) -> "Notifier":
        return Notifier(getitem(self._backing_struct, key), self.root, [*self._path, key])


def process_mod(target: Any, mod: Mapping[str, Any]) -> None:
    """Apply a modification (not `init`) to a structure or a Notifier.

    Args:
        target: The whole structure.
        mod: The modification, as on the wire.

    Raises:
        ValueError: The action is unknown.
        LookupError: The path leads nowhere.
        TypeError: The part of the structure does not allow it.

    """
    for key in mod["path"]:
        target = getitem(target, key)
    action = ModAction(mod["action"])
    if action is ModAction.append:
        target.append(mod["x"])
    elif action is ModAction.insert:
        target.insert(mod["i"], mod["x"])
    elif action is ModAction.pop:
        target.pop(mod["i"])
    elif action is ModAction.setitem:
        target[mod["key"]] = mod["value"]
    elif action is ModAction.delitem:
        del target[mod["key"]]
    else:
        raise ValueError(f"{action.value} is no modification of a part")


def update_from_dict(target: Notifier, source: Mapping[Any, Any]) -> None:
    """Make the dict of a Notifier equal to another one, publishing only what differs.

    Args:
        target: Notifier of a dict.
        source: What it shall be.

    """
    current = target.raw_view
    for key in [key for key in current if key not in source]:
        del target[key]
    for key, value in source.items():
        if key not in current or not _same(current[key], value):
            target[key] = value


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(type(a) is type(b) and a == b)
    except ValueError:
        return False  # arrays compare item by item: publishing again is right, too

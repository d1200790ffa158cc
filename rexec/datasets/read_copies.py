"""Copies of long lists for readers: `append_to_dataset`, then `get_dataset(key)[-1]`, copies only what is new.

A reader may do anything with what it gets, and the dataset never changes by that. A copy that no reader holds any
more, and that nobody has changed, is brought up to date and handed out again.
"""

import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rexec.datasets.values import IMMUTABLE, DatasetList, own_copy

FROM: Final = 1024
"""Items from which on a copy is kept; a shorter list is copied at each reading, into a plain list."""


class ReadCopies:
    """A copy of each long list that was read. One thread at a time calls it."""

    def __init__(self) -> None:
        self._kept: Final[dict[str, _Kept]] = {}

    def read(self, key: str, value: Any) -> Any:
        """Return an equal value that shares nothing that can be changed with the dataset's.

        Args:
            key: Name of the dataset.
            value: The value of the dataset, which is only ever appended to, unless `forget` is called.

        """
        if type(value) is not list or len(value) < FROM:
            return own_copy(value)
        kept = self._kept.get(key)
        if kept is None or kept.items is not value or not kept.is_free():
            kept = _Kept(value, DatasetList())
        new = value[len(kept.copy) :] if kept.copy else value
        if not all(map(_is_immutable, set(map(type, new)))):
            self.forget(key)
            return own_copy(value)
        list.extend(kept.copy, new)
        self._kept[key] = kept
        return kept.copy

    def forget(self, key: str) -> None:
        """Make the next copy anew: the dataset was changed elsewhere than at its end."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Keep no copies any more."""
        self._kept.clear()


@dataclass(frozen=True)
class _Kept:
    items: list[Any]
    copy: DatasetList

    def is_free(self) -> bool:
        """Return whether no reader has the copy, and none has changed it."""
        copy, items = self.copy, self.items
        if copy.is_changed or not 0 < len(copy) <= len(items):
            return False
        # C code can change a list past its methods; it rarely leaves all of these as they were.
        if not all(copy[place] is items[place] for place in (0, len(copy) // 2, len(copy) - 1)):
            return False
        del copy
        return _ALONE is not None and _references(self) == _ALONE


def _is_immutable(kind: type) -> bool:
    return kind in IMMUTABLE or issubclass(kind, np.number | np.bool_)


def _references(kept: _Kept) -> int:
    return sys.getrefcount(kept.copy)


_ALONE: Final = _references(_Kept([], DatasetList())) if hasattr(sys, "getrefcount") else None
"""What `_references` returns where only we hold the copy; None: this Python does not tell."""

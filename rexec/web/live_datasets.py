"""The datasets of a master as the page knows them. One writer: the subscriber to the master."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from rexec.web.clock import VersionClock
from rexec.web.live_dataset import LiveDataset, MasterEntry

_MOST_GONE: Final = 1000


class LiveDatasets:
    """All datasets, in the order of their last change.

    Args:
        clock: Counts the changes.

    """

    def __init__(self, clock: VersionClock) -> None:
        self._clock: Final = clock
        self._by_key: Final[OrderedDict[Any, LiveDataset]] = OrderedDict()
        self._by_number: Final[dict[int, LiveDataset]] = {}
        self._gone: list[tuple[int, int]] = []
        self._numbers = 0
        self.forgotten = 0
        """Deletions up to this version are no longer known: a reader that is older begins anew."""

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, number: int) -> LiveDataset | None:
        """Return a dataset by its number."""
        return self._by_number.get(number)

    def named(self, key: Any) -> LiveDataset | None:
        """Return a dataset by its name."""
        return self._by_key.get(key)

    def changed_since(self, version: int) -> Iterator[LiveDataset]:
        """Return the datasets that have changed after a version, the last one first."""
        for each in reversed(self._by_key.values()):
            if each.version <= version:
                return
            yield each

    def gone_since(self, version: int) -> list[int]:
        """Return the numbers of the datasets that were deleted after a version."""
        return [number for when, number in self._gone if when > version]

    def take_snapshot(self, datasets: dict[Any, Any]) -> None:
        """Take all datasets of a master that has just been connected."""
        now = time.time()
        for key in [key for key in self._by_key if key not in datasets]:
            self._delete(key)
        for key, given in datasets.items():
            present, entry = self._by_key.get(key), MasterEntry.received(given)
            if present is None or not present.is_same(entry):
                self._set(key, entry, now)
            else:
                present.adopt(entry)

    def take_change(self, datasets: dict[Any, Any], mod: dict[str, Any]) -> None:
        """Take a modification that was applied to `datasets`."""
        path, now = mod["path"], time.time()
        key = path[0] if path else mod.get("key", mod.get("i"))
        if key not in datasets:
            self._delete(key)
            return
        present, action = self._by_key.get(key), mod["action"]
        if present is None or list(path[1:]) != [1]:
            self._set(key, MasterEntry.received(datasets[key]), now)
        elif action == "append":
            present.appended(self._clock.tick(), now)
            self._by_key.move_to_end(key)
        elif action == "setitem" and (part := _rows_of(mod["key"], present.value)) is not None:
            present.rows_changed(*part, self._clock.tick(), now)
            self._by_key.move_to_end(key)
        else:
            self._set(key, MasterEntry.received(datasets[key]), now)

    def _set(self, key: Any, entry: MasterEntry, now: float) -> None:
        present = self._by_key.get(key)
        if present is None:
            self._numbers += 1
            present = self._by_key[key] = self._by_number[self._numbers] = LiveDataset(self._numbers, key)
        present.set(entry, self._clock.tick(), now)
        self._by_key.move_to_end(key)

    def _delete(self, key: Any) -> None:
        present = self._by_key.pop(key, None)
        if present is not None:
            del self._by_number[present.number]
            self._gone.append((self._clock.tick(), present.number))
            if len(self._gone) > _MOST_GONE:
                self.forgotten = self._gone.pop(0)[0]


def _rows_of(index: Any, value: Any) -> tuple[int, int] | None:
    """Return the rows that an index reaches; None: not known."""
    first = index[0] if isinstance(index, tuple) and index else index
    try:
        length = len(value)
    except TypeError:
        return None
    if isinstance(first, slice):
        start, stop, step = first.indices(length)
        if isinstance(value, list) or step == 0:
            return None  # the length may have changed
        return (start, stop) if step > 0 else (stop + 1, start + 1)
    if isinstance(first, bool) or not hasattr(first, "__index__"):
        return None
    row = int(first)
    row += length if row < 0 else 0
    return (row, row + 1) if 0 <= row < length else None

"""Lists and arrays that an experiment gave to `set_dataset`, and may have changed since, behind the manager's back."""

import logging
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rexec.datasets.values import DatasetList, compared

_log = logging.getLogger(__name__)


class Given:
    """Detects lists and arrays mutated after `set_dataset`, and warns once.

    Arrays are not kept alive for it.
    """

    def __init__(self) -> None:
        self._objects: dict[str, Callable[[], Any]] = {}
        self._told: Final[set[str]] = set()

    def watch(self, key: str, value: Any) -> None:
        """Take note of what was given for a dataset."""
        if type(value) is np.ndarray:
            self._objects[key] = weakref.ref(value)
        elif type(value) in (list, dict, set):
            self._objects[key] = lambda: value
        elif type(value) is DatasetList:
            self._objects[key] = lambda: list(value)
        else:
            self.forget(key)

    def forget(self, key: str) -> None:
        """Watch a dataset no longer: it was changed in the way that it should be, or is gone."""
        self._objects.pop(key, None)

    def changed(self, value_of: Callable[[str], Any]) -> list[str]:
        """Return the datasets whose given object is no longer equal to their value.

        Args:
            value_of: Returns the value of a dataset.

        """
        changed = []
        for key, given in list(self._objects.items()):
            object_now = given()
            if object_now is None:
                continue
            is_same = compared(object_now, value_of(key))
            if is_same is None:
                _log.info("dataset %s: whether it was changed after set_dataset cannot be told", key)
            elif not is_same:
                changed.append(key)
        return changed

    def tell(self, keys: list[str]) -> None:
        """Warn of datasets that were not warned of yet."""
        for key in keys:
            if key not in self._told:
                self._told.add(key)
                _log.warning(
                    "dataset %s: the list or array given to set_dataset was changed afterwards; the dataset "
                    "keeps the value that was set. Use mutate_dataset or append_to_dataset, or set it again",
                    key,
                )

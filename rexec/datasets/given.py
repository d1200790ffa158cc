"""Lists and arrays that an experiment gave to `set_dataset`, and may have changed since, behind the manager's back."""

import logging
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rexec.datasets.values import same

_log = logging.getLogger(__name__)


class Given:
    """Knows what was given for each dataset, so that a change that the dataset did not take over is told, once.

    Arrays are not kept alive for it.
    """

    def __init__(self) -> None:
        self._objects: dict[str, Callable[[], Any]] = {}
        self._told: Final[set[str]] = set()

    def watch(self, key: str, value: Any) -> None:
        """Take note of what was given for a dataset."""
        if isinstance(value, np.ndarray):
            self._objects[key] = weakref.ref(value)
        elif type(value) in (list, dict, set):
            self._objects[key] = lambda: value
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
        return [
            key
            for key, given in self._objects.items()
            if (object_now := given()) is not None and not same(object_now, value_of(key))
        ]

    def tell(self, keys: list[str]) -> None:
        """Warn of datasets of which it was not told yet."""
        for key in keys:
            if key not in self._told:
                self._told.add(key)
                _log.warning(
                    "dataset %s: the list or array given to set_dataset was changed afterwards; the dataset "
                    "keeps the value that was set. Use mutate_dataset or append_to_dataset, or set it again",
                    key,
                )

"""The dataset manager as the language of ARTIQ 7 calls it: without metadata."""

import inspect
from typing import Any

from rexec.datasets import DatasetManager


class Artiq7Datasets:
    """A dataset manager whose `set` takes broadcast, persist and archive as its third to fifth arguments.

    Other attributes are the manager's.

    Args:
        manager: The manager.

    """

    def __init__(self, manager: DatasetManager) -> None:
        self._manager = manager

    def set(
        self, key: str, value: Any, broadcast: bool = False, persist: bool = False, archive: bool = True
    ) -> None:
        """Set a dataset: see `DatasetManager.set`."""
        self._manager.set(key, value, None, broadcast, persist, archive)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


def in_its_language(experiment: type[Any], manager: DatasetManager) -> Any:
    """Return a dataset manager for the ARTIQ release of an experiment; ARTIQ 7 has no metadata."""
    set_dataset = getattr(experiment, "set_dataset", None)
    if set_dataset is None or "unit" in inspect.signature(set_dataset).parameters:
        return manager
    return Artiq7Datasets(manager)

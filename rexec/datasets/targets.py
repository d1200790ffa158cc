"""What clients of a master may do with datasets: ARTIQ's `dataset_db` target, and nothing else of ours."""

from typing import Any, Final

from rexec.datasets.database import DatasetDB
from rexec.datasets.types import Metadata, Mod

NAMES: Final = ("dataset_db", "master_dataset_db")
"""The target's name on an ARTIQ 9 master, and on older ones."""


class DatasetTarget:
    """Datasets by name, as in an ARTIQ master: get, get_metadata, set, update, delete."""

    def __init__(self, db: DatasetDB) -> None:
        self.__db: Final = db

    def get(self, key: str) -> Any:
        """Return the value of a dataset."""
        return self.__db.get(key)

    def get_metadata(self, key: str) -> Metadata:
        """Return the metadata of a dataset: those given of unit, scale, precision."""
        return self.__db.get_metadata(key)

    def set(
        self, key: str, value: Any, persist: bool | None = None, metadata: Metadata | None = None
    ) -> None:
        """Set a dataset; what is None stays as it was."""
        self.__db.set(key, value, persist, metadata, origin="client")

    def update(self, mod: Mod) -> None:
        """Apply a modification such as {"action": "append", "path": [key, 1], "x": value}."""
        self.__db.update(mod, origin="client")

    def delete(self, key: str) -> None:
        """Remove a dataset."""
        self.__db.delete(key, origin="client")

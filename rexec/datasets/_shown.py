"""What a database shows of a run: its broadcast datasets."""

import contextlib
from typing import Final

from rexec.datasets.types import Dataset, DatasetStore


class Shown:
    """The broadcast datasets of a run.

    Args:
        db: The database.

    Attributes:
        keys: Their names.

    """

    def __init__(self, db: DatasetStore) -> None:
        self._db: Final = db
        self.keys: Final[set[str]] = set()

    def show(self, key: str, dataset: Dataset) -> None:
        """Have the database show a dataset as it is, or none of that name any more. Idempotent."""
        if dataset.broadcast:
            self._db.set(key, dataset.value, dataset.persist, dataset.metadata)
            self.keys.add(key)
        elif key in self.keys:
            with contextlib.suppress(KeyError):  # somebody else has removed it
                self._db.delete(key)
            self.keys.discard(key)

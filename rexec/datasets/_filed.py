"""What a run has read from a database, as its result file has it under `archive/`."""

import logging
from collections.abc import Iterable
from typing import Any, Final

from rexec.datasets.database import DatasetDB
from rexec.datasets.door import checked_metadata
from rexec.datasets.errors import MissingDataset
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore, Metadata
from rexec.datasets.values import own_copy, same

_log = logging.getLogger(__name__)


class Filed:
    """The datasets that were read; of one that was read twice, the last value.

    Args:
        db: The database that they are read from.
        sink: Where they are kept.

    """

    def __init__(self, db: DatasetStore, sink: DatasetSink) -> None:
        self._db: Final = db
        self._sink: Final = sink
        self._told: Final[set[str]] = set()
        self.datasets: Final[dict[str, Dataset]] = {}

    def read(self, key: str, others: Iterable[str], *, archive: bool) -> Any:
        """Return a copy of a dataset's value in the database.

        Args:
            key: Name of the dataset.
            others: Names of further datasets, for the error.
            archive: File the value.

        Raises:
            KeyError: There is no such dataset.

        """
        try:
            value = own_copy(self._db.get(key))
        except KeyError:
            raise self._missing(key, others) from None
        if archive:
            self.file(key, value)
        return value

    def read_metadata(self, key: str, others: Iterable[str]) -> Metadata:
        """Return a dataset's metadata in the database; raises as `read`."""
        try:
            return self._db.get_metadata(key)
        except KeyError:
            raise self._missing(key, others) from None

    def file(self, key: str, value: Any) -> None:
        """File a value that was read."""
        filed = self.datasets.get(key)
        if filed is not None and same(filed.value, value):
            return
        metadata = self._metadata(key)
        if filed is not None and key not in self._told:
            self._told.add(key)
            _log.warning(
                "dataset %s was read again with another value; archive/%s holds the last one", key, key
            )
        self._sink.archive(key, value, metadata)
        self.datasets[key] = Dataset(own_copy(value), metadata)

    def _missing(self, key: str, others: Iterable[str]) -> MissingDataset:
        shown = self._db.snapshot() if isinstance(self._db, DatasetDB) else ()
        return MissingDataset(key, [*others, *shown])

    def _metadata(self, key: str) -> Metadata:
        try:
            return checked_metadata(key, self._db.get_metadata(key))
        except (TypeError, ValueError) as error:
            _log.warning("%s. The database has it so; it is left out of the result file", error)
            return {}

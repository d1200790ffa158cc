"""Datasets of a run and of a laboratory, with the meaning that ARTIQ gives them."""

from rexec.datasets.database import DatasetDB
from rexec.datasets.errors import (
    DatabaseInUse,
    DatabaseLost,
    DatabaseUnreadable,
    DatasetError,
    DatasetTooLarge,
    ForkedRun,
)
from rexec.datasets.manager import DatasetManager
from rexec.datasets.types import (
    Dataset,
    DatasetSink,
    DatasetStore,
    Entry,
    ListAppender,
    Metadata,
    Mod,
    NoSink,
    Origin,
)

__all__ = [
    "DatabaseInUse",
    "DatabaseLost",
    "DatabaseUnreadable",
    "Dataset",
    "DatasetDB",
    "DatasetError",
    "DatasetManager",
    "DatasetSink",
    "DatasetStore",
    "DatasetTooLarge",
    "Entry",
    "ForkedRun",
    "ListAppender",
    "Metadata",
    "Mod",
    "NoSink",
    "Origin",
]

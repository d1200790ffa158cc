"""Datasets of a run and of a laboratory, with the meaning that ARTIQ gives them."""

from rexec.datasets.database import DatasetDB
from rexec.datasets.errors import DatabaseInUse, DatabaseUnreadable, DatasetError, DatasetTooLarge
from rexec.datasets.manager import DatasetManager
from rexec.datasets.types import Dataset, DatasetSink, DatasetStore, Entry, Metadata, Mod, Origin

__all__ = [
    "DatabaseInUse",
    "DatabaseUnreadable",
    "Dataset",
    "DatasetDB",
    "DatasetError",
    "DatasetManager",
    "DatasetSink",
    "DatasetStore",
    "DatasetTooLarge",
    "Entry",
    "Metadata",
    "Mod",
    "Origin",
]

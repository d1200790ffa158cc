"""The laboratory's folder: where its device database is. Persistent datasets and results are in it."""

import os
from collections.abc import Sequence
from pathlib import Path

from devicedb import DatabaseLoadError, DeviceDatabase
from rexec.datasets import DatasetDB

DEVICES = "device_db.py"
DATASETS = "dataset_db.mdb"


def found_device_db(folders: Sequence[Path]) -> Path:
    """Return the device database in the first of some folders that has one.

    Raises:
        DatabaseLoadError: None has.

    """
    places = [folder.absolute() / DEVICES for folder in folders]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        where = " nor ".join(dict.fromkeys(map(str, places)))
        raise DatabaseLoadError(
            where, None, "there is no such file. Name the device database with --device-db FILE"
        )
    return found


def laboratory_folder(database: DeviceDatabase) -> Path:
    """Return the folder of the file that a device database was read from; the current one where there is no file."""
    origin = Path(database.origin)
    return origin.absolute().parent if origin.is_file() else Path.cwd()


def open_datasets(path: Path | None, folder: Path) -> DatasetDB:
    """Open persistent datasets: the file that is named, else that of the laboratory.

    In a folder that has none and cannot be written, datasets are in memory, and what is to persist is refused.

    Raises:
        DatasetError: They cannot be opened.

    """
    file = path or folder / DATASETS
    if path is not None or file.exists() or os.access(folder, os.W_OK):
        return DatasetDB(file)
    return DatasetDB(
        None,
        no_persistence=f"{folder} has no {DATASETS} and cannot be written; name a file with --dataset-db",
    )


def copy_of_datasets(path: Path | None, folder: Path) -> DatasetDB:
    """Return datasets in memory: a copy of the file of persistent datasets, if there is one."""
    file = path or folder / DATASETS
    forgets = "a simulated run changes none of the laboratory's"
    if not file.exists():
        return DatasetDB(None, forgets=forgets)
    with DatasetDB(file) as kept:
        return kept.in_memory(forgets)

"""Which result files a folder has, each with a signature by which a change is seen. No file is opened."""

import os
import stat
import time
from typing import Final, NamedTuple

from rexec.catalogue.notes import NOTES_SUFFIX
from rexec.results.layout import JOURNAL_SUFFIX

SUFFIXES: Final = (".h5", ".hdf5")


class FileSignature(NamedTuple):
    """The signature of a result file: a change of the file changes it.

    Attributes:
        size: Its bytes; -1: there is a journal only.
        mtime: Time of its last modification, in nanoseconds.
        inode: Its number in the file system.
        journal: The same of its journal as text: "" without one; "yes" where there is a file, too.
        notes: The same of its notes as text: "" without any.

    """

    size: int
    mtime: int
    inode: int
    journal: str
    notes: str


class FolderState(NamedTuple):
    """The state of a folder: a change of the names in it changes it.

    Attributes:
        mtime: Time of its last modification, in nanoseconds.
        inode: Its number in the file system.
        device: Number of its file system.

    """

    mtime: int
    inode: int
    device: int


class Listing(NamedTuple):
    """What a folder has.

    Attributes:
        files: Signatures of result files by name.
        folders: Names of the folders in it.

    """

    files: dict[str, FileSignature]
    folders: list[str]


def folder_state(folder: str) -> FolderState | None:
    """Return the state of a folder; None if it cannot be read."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return FolderState(found.st_mtime_ns, found.st_ino, found.st_dev) if stat.S_ISDIR(found.st_mode) else None


def listing(folder: str) -> Listing:
    """Return what a folder has; hidden names are not looked at. A folder that cannot be read has nothing."""
    files: dict[str, os.stat_result] = {}
    journals: dict[str, os.stat_result] = {}
    notes: dict[str, os.stat_result] = {}
    folders = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                try:
                    if name.endswith(SUFFIXES):
                        files[name] = _entry_stat(entry)
                    elif name.endswith(JOURNAL_SUFFIX):
                        journals[name.removesuffix(JOURNAL_SUFFIX)] = _entry_stat(entry)
                    elif name.endswith(NOTES_SUFFIX):
                        notes[name.removesuffix(NOTES_SUFFIX)] = _entry_stat(entry)
                    elif entry.is_dir():
                        folders.append(name)
                except OSError:  # removed meanwhile, or a link that leads nowhere
                    continue
    except OSError:
        return Listing({}, [])
    names = [*files, *(name for name in journals if name not in files and name.endswith(SUFFIXES))]
    found = {name: _signature(files.get(name), journals.get(name), notes.get(name)) for name in names}
    return Listing(found, folders)


def signature(path: str) -> FileSignature | None:
    """Return the signature of one result file; None: there is neither a file nor a journal."""
    file, journal = _stat(path), _stat(path + JOURNAL_SUFFIX)
    if file is None and journal is None:
        return None
    return _signature(file, journal, _stat(path + NOTES_SUFFIX))


def stored_path(path: str) -> str | bytes:
    """Return a path as an index holds it: text, or the bytes of a name that is no valid text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def shown_path(path: str | bytes) -> str:
    """Return the path that `stored_path` stored."""
    return path if isinstance(path, str) else os.fsdecode(path)


def is_young(mtime: int, seconds: float) -> bool:
    """Return whether a time in nanoseconds is less than so many seconds ago, or in the future."""
    return mtime > (time.time() - seconds) * 1e9


def _signature(
    file: os.stat_result | None, journal: os.stat_result | None, notes: os.stat_result | None
) -> FileSignature:
    noted = "" if notes is None else f"{notes.st_size}.{notes.st_mtime_ns}"
    if file is None and journal is not None:
        return FileSignature(-1, journal.st_mtime_ns, 0, f"{journal.st_size}.{journal.st_mtime_ns}", noted)
    if file is None:
        raise ValueError("there is neither a file nor a journal")
    return FileSignature(file.st_size, file.st_mtime_ns, file.st_ino, "" if journal is None else "yes", noted)


def _entry_stat(entry: "os.DirEntry[str]") -> os.stat_result:
    """Return the state of a file; on Windows that of its entry in the folder is old, and lacks the inode."""
    return os.stat(entry.path) if os.name == "nt" else entry.stat()


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None

"""Makes an empty database file, whole or not at all.

LMDB itself writes the first pages in place, and syncs no folder.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import lmdb

from devicedb.opening import once_free, open_bytes
from devicedb.whole_file import sync_descriptor, sync_file, sync_folder_of
from rexec.datasets.errors import DatasetError

FIRST_MAP: Final = 2**22
"""Size of the map at first. It grows when it is full: on Windows the file is as large as its map."""


def make_empty(path: Path) -> None:
    """Make a database where there is no file of that name; it survives a loss of power.

    Args:
        path: The file, links followed.

    Raises:
        DatasetError: It cannot be made.

    """
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        lmdb.open(str(temporary), subdir=False, map_size=FIRST_MAP, mode=0o664, lock=False).close()
        once_free(lambda: sync_file(temporary))
        once_free(lambda: _link(temporary, path))
        sync_folder_of(path)
    except (OSError, lmdb.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or _said(error, temporary)
        raise DatasetError(
            f"cannot open the dataset database {path}: {reason}; name one in a folder that you may write"
        ) from error
    finally:
        with contextlib.suppress(PermissionError):  # Windows removes no file that another program has open
            once_free(lambda: temporary.unlink(missing_ok=True))


def _said(error: Exception, path: Path) -> str:
    """Return what LMDB says of a file in one line, without the name of the file; on Windows a line end follows."""
    return " ".join(str(error).removeprefix(f"{path}: ").split())


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name, unless there is one of that name."""
    try:
        os.link(temporary, path)
    except OSError:  # a file system without hard links, or another process was first
        with (
            contextlib.suppress(FileExistsError),
            open(path, "xb", opener=lambda name, flags: open_bytes(name, flags, 0o664)) as file,
        ):
            file.write(temporary.read_bytes())
            file.flush()
            sync_descriptor(file.fileno())

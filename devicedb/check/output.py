"""Writes a file whole or not at all."""

import os
import tempfile
from pathlib import Path

from devicedb.errors import DeviceDBError


class OutputError(DeviceDBError):
    """A file that was asked for cannot be written."""


def write_whole(path: Path, text: str) -> None:
    """Write a text by a temporary file beside it and a rename; OutputError where that fails."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None

"""Writes a small file whole or not at all: beside its place first, then by a rename."""

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file, or leave what was in its place.

    Args:
        path: The file; its folder must be there.
        data: The content.
        mode: Permissions, which it has from its first moment on; by default those of the file that it replaces, and
            of a new file what the process's umask allows.

    Raises:
        OSError: It cannot be written.

    """
    handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_usual_mode(path) if mode is None else mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _usual_mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

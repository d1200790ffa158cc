"""Files that appear whole or not at all, and lock files."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devicedb.opening import once_free, open_bytes, open_to_read
from devicedb.whole_file import put_in_place, sync_file
from rexec.ground.locks import lock_within, try_lock
from rexec.ground.system_calls import MOST_AT_ONCE

_log = logging.getLogger(__name__)

HELD: Final = (PermissionError, BlockingIOError)
"""Errors of a file that another program keeps, or has locked."""


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file; False where that cannot be told."""
    try:
        descriptor = open_to_read(path)
    except OSError:
        return False
    try:
        return not try_lock(
            descriptor, shared=True
        )  # a shared lock: two processes that test do not see each other
    except OSError:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file `path`, waiting at most `timeout` seconds for another holder.

    The lock belongs to the open file: it ends with the process, however that ends.
    """
    descriptor = open_bytes(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not lock_within(descriptor, timeout):
            raise TimeoutError(f"{path} is locked by another process for over {timeout:g} s")
        yield
    finally:
        os.close(descriptor)


def publish(temporary: Path, path: Path) -> None:
    """Put the finished file `temporary` in the place of `path`: whole, and on the disk, or not at all."""
    sync_file(temporary)
    put_in_place(temporary, path)


def remove(path: Path) -> None:
    """Remove a file, or do nothing where there is none; Windows refuses it as long as another program has it open."""
    once_free(lambda: path.unlink(missing_ok=True))


def temporary_beside(path: Path) -> Path:
    """Return the name of a temporary file in the folder of `path` that belongs to this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def leftovers(folder: Path) -> dict[str, list[Path]]:
    """Return what was written in a folder on the way to result files, by the names of these."""
    found: dict[str, list[Path]] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            if match := _LEFTOVER.fullmatch(entry.name):
                found.setdefault(match["name"], []).append(Path(entry.path))
    return found


def remove_leftovers(path: Path, found: Mapping[str, list[Path]] | None = None) -> None:
    """Remove what was written beside the result file `path` on the way to it.

    Args:
        path: The result file.
        found: The leftovers of its folder from before this process wrote there; None: they are looked for.

    """
    if found is None:
        found = leftovers(path.parent)
    ours = [
        temporary_beside(path),
        *(path.with_name(f".{path.name}.{what}") for what in ("working", "previous")),
    ]
    for left in {*found.get(path.name, ()), *ours}:
        try:
            remove(left)
        except OSError as error:  # on Windows, while another program has it open: nothing depends on it
            _log.warning("%s is left there: %s; remove it once no program has it open", left, error.strerror)


_LEFTOVER: Final = re.compile(r"\.(?P<name>.+?)\.(working|previous|(journal\.)?\d+\.tmp)", re.DOTALL)


def pread(descriptor: int, count: int, start: int) -> bytes:
    """Return at most so many bytes of an open file from an offset on."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, min(count, MOST_AT_ONCE), start)  # type: ignore[no-any-return, unused-ignore]
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows has no pread; nobody else reads by this descriptor
    return os.read(descriptor, count)

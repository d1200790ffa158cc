"""The file of a journal: made and claimed, and made again where somebody has removed it."""

import os
from pathlib import Path

from rexec.results._files import pread, try_lock
from rexec.results.errors import ResultsError, ResultsNotWritable

_BLOCK = 2**22


def created(path: Path, attempts: int = 5) -> int:
    """Return a new file, open and claimed for this process.

    Raises:
        ResultsNotWritable: It cannot be made; the text says why and what to do.

    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o664)
    except FileExistsError as error:
        if not path.exists():
            raise ResultsNotWritable(
                f"cannot write results into {path.parent}: {error.filename} is no folder; choose another folder"
            ) from error
        raise ResultsNotWritable(
            f"{path} exists: another run is writing this result, or one ended without finishing it. Run "
            f"`rexec results recover {path.parent}` to turn what it kept into a file"
        ) from None
    except OSError as error:
        raise ResultsNotWritable(
            f"cannot write results into {path.parent}: {error.strerror}; choose another folder, or a result "
            "file in a folder that you may write"
        ) from error
    # Between these two calls a recovery may have taken the empty file for one that a killed run has left.
    try:
        if try_lock(descriptor) and is_at(descriptor, path):
            return descriptor
    except OSError as error:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise ResultsNotWritable(
            f"cannot write results into {path.parent}: its file system has no locks ({error.strerror}), so that two "
            "runs could not be kept apart; use a folder on a local disk, and copy the results"
        ) from error
    os.close(descriptor)
    if attempts > 1:
        return created(path, attempts - 1)
    raise ResultsNotWritable(f"{path} is taken away by another process again and again; choose another name")


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def copied(old: int, size: int, path: Path) -> int:
    """Return a new file of that name, open, claimed and on the disk, with the first bytes of an open one.

    Raises:
        ResultsError: It cannot be written there.

    """
    new = created(path)
    try:
        offset = 0
        while offset < size:
            offset += os.write(new, pread(old, min(_BLOCK, size - offset), offset))
        os.fsync(new)
    except OSError as error:
        os.close(new)
        path.unlink(missing_ok=True)
        raise ResultsError(f"{path} was removed, and cannot be written anew: {error.strerror}") from error
    return new

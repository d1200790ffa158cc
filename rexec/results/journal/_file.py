"""The file of a journal: made and claimed, and made again where somebody has removed it."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from devicedb.opening import once_free, open_bytes, open_to_read
from devicedb.whole_file import make_folder, put_in_place, sync_descriptor, sync_folder_of
from rexec.ground.file_names import long_path_hint
from rexec.ground.locks import lock_within, try_lock
from rexec.results._files import pread, remove, temporary_beside
from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.journal.records import HEADER

_BLOCK: Final = 2**22
_MOMENT: Final = 0.3


def created(path: Path, attempts: int = 5) -> int:
    """Return a new file, open and claimed for this process.

    Raises:
        ResultsNotWritable: It cannot be made; the text says why and what to do.

    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
    try:
        make_folder(path.parent)
        descriptor = open_bytes(path, flags, 0o664)
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
            f"file in a folder that you may write{long_path_hint(path)}"
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
    except OSError:
        return False


class Orphan:
    """The journal of a run that may have been killed. A context: the claim on it lasts as long.

    Args:
        path: The journal.

    Raises:
        OSError: It cannot be opened for writing.

    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._descriptor = once_free(lambda: open_bytes(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0)))
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self._close()
            raise OSError(errno.EINVAL, "it is no regular file")

    def __enter__(self) -> "Orphan":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def is_claimed(self) -> bool:
        """Claim it; a process that a killed run has left behind has a moment to end."""
        return lock_within(self._descriptor, _MOMENT)

    def is_in_place(self) -> bool:
        """Return whether the file still has that name."""
        return is_at(self._descriptor, self.path)

    def remove(self) -> None:
        """Remove it."""
        self._let_go(lambda: remove(self.path))

    def rename(self, target: Path) -> None:
        """Give it another name."""
        self._let_go(lambda: put_in_place(self.path, target, sync_folder=False))

    def _let_go(self, act: Callable[[], None]) -> None:
        if os.name == "nt":  # where an open file is neither removed nor renamed
            self._close()
        act()
        sync_folder_of(self.path)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def copied(old: int, size: int, path: Path, identifier: bytes) -> tuple[Path, int]:
    """Write the first bytes of an open journal to a new file that takes the place of its name.

    Where a file that is not of this journal has the name, it is left alone, and the copy gets another name.

    Returns:
        The path, and the file, open, claimed and on the disk.

    Raises:
        ResultsError: It cannot be written there.

    """
    temporary = temporary_beside(path)
    try:
        temporary.unlink(missing_ok=True)
        new = created(temporary)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        offset = 0
        while offset < size:
            block = pread(old, min(_BLOCK, size - offset), offset)
            if not block:
                raise OSError(errno.EIO, "what was written cannot be read back")
            offset += os.write(new, block)
        sync_descriptor(new)
        if not _may_replace(path, identifier):
            path = path.with_name(
                f"{path.name.removesuffix('.h5.journal')}-{identifier.hex()[:8]}.h5.journal"
            )
        put_in_place(temporary, path)
    except BaseException as error:
        os.close(new)
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot(path, error) from error
        raise
    return path, new


def _cannot(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} was removed or replaced, and cannot be written anew: {error.strerror}")


def _may_replace(path: Path, identifier: bytes) -> bool:
    """Return whether nothing of that name is there, or an older copy of the same journal."""
    try:
        with open(path, "rb", opener=open_to_read) as file:
            return file.read(HEADER.size)[12:28] == identifier
    except FileNotFoundError:
        return True
    except OSError:
        return False

"""Writes a file whole or not at all: a temporary file beside it, synced, then renamed into its place.

And reads a text whole, or says why it is none.
"""

import codecs
import contextlib
import errno
import functools
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from devicedb.opening import once_free, open_bytes, open_to_read
from devicedb.windows_names import check_path

__all__ = [
    "is_utf16",
    "make_folder",
    "no_utf16",
    "put_in_place",
    "read_whole",
    "sync_descriptor",
    "sync_file",
    "sync_folder_of",
    "write_all",
    "write_whole",
]

# Windows refuses to rename over a file that a reader holds open, and cannot open folders.
_IS_WINDOWS: Final = os.name == "nt"

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def read_whole(path: Path) -> bytes:
    """Return the bytes of a text: a program, or a file of settings.

    Raises:
        OSError: It cannot be read; or is a pipe or a device, which may never begin, or never end; or is UTF-16, as
            Windows PowerShell writes what is redirected with `>`.

    """
    with once_free(lambda: open(path, "rb", opener=open_to_read)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return no_utf16(file.read(), path)


def is_utf16(data: bytes) -> bool:
    """Return whether a text begins with the mark of UTF-16, as PowerShell 5 writes it."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def no_utf16(data: bytes, path: Path) -> bytes:
    """Return the bytes of a text; OSError if it begins with the mark of UTF-16."""
    if is_utf16(data):
        raise OSError(errno.EILSEQ, "it is UTF-16 text; save it as UTF-8", str(path))
    return data


def write_whole(path: Path, data: bytes, mode: int | None = None, *, sync_folder: bool = True) -> None:
    """Write a file, or leave what is in its place.

    Once it returns, the file survives a loss of power. Killed at any instant, it leaves the old file or the new one,
    and perhaps a file `.NAME.….tmp` beside it.

    A symbolic link stays, the file that it leads to is replaced. A device or a pipe (`/dev/null`, `/dev/stdout`) is
    written to, not replaced: root could do that.

    Args:
        path: The file; its folder must exist.
        data: The content.
        mode: Permissions, for example 0o600, from the file's first moment on. Default: those of the file that is
            replaced; a new file gets what the umask of the process allows. Windows knows only whether it is for the
            owner alone, and administrators; the default there is what its folder allows.
        sync_folder: Whether the name must survive a loss of power, too. False saves one sync, and leaves the old
            file after a power cut.

    Raises:
        OSError: The file cannot be written. What was in its place is unchanged, except if only the sync of the folder
            failed.

    """
    if path.name.upper() != "NUL":
        check_path(path)
    found = _mode_of(path)
    if found is not None and not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
        with path.open("wb") as special:
            special.write(data)
        return
    path = Path(os.path.realpath(path))
    if mode is None and found is not None:
        mode = found & 0o777
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    if _IS_WINDOWS:
        opener = functools.partial(open_bytes, mode=0o666 if mode is None else mode)
    else:  # not a function of our own: Ctrl-C between its lines would lose the descriptor
        opener = functools.partial(os.open, mode=0o666 if mode is None else 0o600)
    try:
        with open(temporary, "xb", opener=opener) as file:
            file.write(data)
            file.flush()
            if mode is not None:
                temporary.chmod(mode)
            sync_descriptor(file.fileno())
        put_in_place(temporary, path, sync_folder=sync_folder)
    except BaseException:
        # Windows removes no open file: one that Ctrl-C has left open stays, and the interrupt is what is raised.
        with contextlib.suppress(PermissionError) if _IS_WINDOWS else contextlib.nullcontext():
            if _IS_WINDOWS and temporary.exists():
                temporary.chmod(stat.S_IWRITE)  # nor a read-only one
            temporary.unlink(missing_ok=True)
        raise


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files of one folder: all of them, or none.

    All are written beside their places first, which finds a full disk, a read-only folder, names that are too long, and
    names that are one name here (where the file system ignores case). Only then are they put in place.

    Args:
        folder: The folder, created if missing.
        files: Contents by file name.

    Raises:
        OSError: One cannot be written. All files are as they were, except after a loss of power in the last step.

    """
    make_folder(folder)
    token = os.urandom(4).hex()
    new = [(folder / name, folder / f".{name}.{token}.tmp") for name in files]
    old: dict[Path, bytes | None] = {}
    try:
        for (path, temporary), data in zip(new, files.values(), strict=True):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            try:
                file = open(temporary, "xb")
            except FileExistsError:
                reason = "the name of another of these files differs from it only in case"
                raise FileExistsError(errno.EEXIST, reason, str(path)) from None
            with file:
                file.write(data)
                file.flush()
                sync_descriptor(file.fileno())
        for path, temporary in new:
            before = path.read_bytes() if path.exists() else None
            put_in_place(temporary, path, sync_folder=False)
            old[path] = before
        sync_folder_of(folder / "files")
    except BaseException:
        for path, before in old.items():
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, before)
        raise
    finally:
        for _, temporary in new:
            temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path, *, sync_folder: bool = True) -> None:
    """Rename a finished and synced file over `path`.

    On Windows a reader of either makes the rename fail; it is tried again (`once_free`).

    Args:
        temporary: The finished file, in the same folder.
        path: Its final name.
        sync_folder: Whether the name must survive a loss of power.

    Raises:
        OSError: `path` cannot be replaced, for example because a program on Windows holds it open.

    """
    once_free(lambda: os.replace(temporary, path))
    if sync_folder:
        sync_folder_of(path)


def sync_descriptor(descriptor: int, *, data_only: bool = False) -> None:
    """Make what was written to an open file survive a loss of power.

    Args:
        descriptor: The open file.
        data_only: Whether times of the file may be lost.

    Raises:
        OSError: The disk fails.

    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync leaves it in the drive's cache there
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC and error.errno != errno.ENOTTY:
                raise
            os.fsync(descriptor)  # a file system without it
    elif data_only and hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, all of which survive a loss of power; one that exists is left alone.

    Raises:
        OSError: It cannot be made.

    """
    check_path(folder)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(made):
        sync_folder_of(each)


def sync_file(path: Path) -> None:
    """Make the content of a file survive a loss of power."""
    descriptor = open_bytes(path, os.O_RDWR)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_folder_of(path: Path) -> None:
    """Make created, renamed and removed names in the folder of `path` survive a loss of power.

    Does nothing where the system has no such sync: on Windows, and on some network file systems.

    Raises:
        OSError: The folder cannot be opened, or the disk fails.

    """
    if _IS_WINDOWS:
        return
    descriptor = open_bytes(path.absolute().parent, os.O_RDONLY)
    try:
        sync_descriptor(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None

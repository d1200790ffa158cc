"""Leases of stock controllers without remote execution: lock files, which the processes of one machine see.

A device has a folder, a lease a file in it that its process keeps locked: if the file can be locked, its process has
ended. The first line says who it is; later sharers add a line each.
"""

import contextlib
import errno
import json
import math
import os
import stat
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from devicedb.opening import once_free, open_bytes, open_to_read
from rexec.devices.uses import DeviceUser
from rexec.ground.file_names import file_name
from rexec.ground.lease_table import is_stopped
from rexec.ground.locks import lock_within, try_lock

FOLDER: Final = "REXEC_LEASES"
"""Environment variable with the folder of all leases of a machine."""

_GUARD: Final = ".guard"
_MOST: Final = 1 << 18
"""Most bytes to read of a lease: any user of the machine can write it."""
_PATIENCE: Final = 5.0
"""Seconds to wait for another process that takes a lease."""


def lease_folder() -> Path:
    """Return the folder of the leases of this machine, the same for all its users."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given)
    # Not TMPDIR or TEMP, which each user has for himself.
    if sys.platform == "win32":
        shared = os.environ.get("PROGRAMDATA", r"C:\ProgramData")
    elif sys.platform == "darwin":  # which removes files of three days from /tmp, locked ones, too
        shared = "/var/tmp"  # noqa: S108
    else:
        shared = "/tmp"  # noqa: S108
    return Path(shared) / "rexec-leases"


class FileLease:
    """A lease in a lock file.

    Args:
        folder: Folder of the leases of this machine.
        device: Port and target of the device.
        id_: Of the holder.
        holder: What it says of itself.

    Raises:
        OSError: The folder cannot be made.

    """

    def __init__(self, folder: Path, device: str, id_: str, holder: dict[str, Any]) -> None:
        self._holder = holder
        self._folder = folder / file_name(device)
        self._path = self._folder / f"{holder['pid']}-{id_[-12:]}.lease"
        self._file: int | None = None
        for each in (folder, self._folder):
            with contextlib.suppress(FileExistsError):
                each.mkdir()
                each.chmod(0o1777)  # as /tmp: others add files, and remove their own
        _open_ones.add(self)

    def take(self, exclusive: bool, timeout: float | None) -> list[DeviceUser]:
        with self._guarded():
            others = _living(self._folder, self._path)
            in_the_way = [_user(said) for _, said in others if exclusive or said.get("exclusive")]
            if in_the_way:
                return in_the_way
            said = {**self._holder, "exclusive": exclusive, "began": time.time()}
            former = _read(self._path)[1:] if self._file is not None else []
            self.close()
            self._file = _made(self._path)
            lock_within(self._file, math.inf)  # another process looks whether it is locked
            with contextlib.suppress(OSError):  # Windows
                os.chmod(self._path, 0o666)  # noqa: S103  # others add a line
            for each in (said, *former):
                _add(self._path, each)
            for path, other in others:
                _add(self._path, other)
                with contextlib.suppress(OSError):
                    _add(path, said)
            return []

    def shared(self) -> list[DeviceUser] | None:
        if self._file is None:
            return None
        return [_user(said) for said in _read(self._path)[1:]]

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
            with contextlib.suppress(OSError):
                self._path.unlink()

    def forget(self) -> None:
        """Close the file in a forked child, whose copy of it would keep the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Take leases of the device one process at a time."""
        path = self._folder / _GUARD
        with contextlib.suppress(FileExistsError):
            os.close(open_bytes(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
            with contextlib.suppress(OSError):  # Windows
                os.chmod(path, 0o666)  # noqa: S103  # others lock it
        # On Windows it may be another user's, whom the folder allows to read it only.
        file = _opened(path, os.O_RDWR if os.name == "posix" else os.O_RDONLY)
        try:
            if not lock_within(file, _PATIENCE):
                raise TimeoutError(f"{path} is locked by a process that does not go on")
            yield
        finally:
            os.close(file)


_open_ones: Final[weakref.WeakSet[FileLease]] = weakref.WeakSet()


def _forget_all() -> None:
    for each in list(_open_ones):
        each.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def file_users(folder: Path, device: str) -> list[DeviceUser]:
    """Return who has a lease of a device, the longest user first."""
    return [_user(said) for _, said in _living(folder / file_name(device), None)]


def _living(folder: Path, own: Path | None) -> list[tuple[Path, dict[str, Any]]]:
    """Return the leases in the folder of a device, the oldest first.

    Args:
        folder: The folder.
        own: The lease to leave out; those of processes that have ended are then removed. None: only look.

    """
    found = []
    for path in folder.glob("*.lease"):
        if path == own:
            continue
        with contextlib.suppress(OSError):
            if _is_locked(path):
                said = _read(path)
                found += [(path, said[0])] if said else []
            elif own is not None:
                path.unlink()
    return sorted(found, key=lambda each: float(each[1]["began"]))


def _opened(path: Path, flags: int) -> int:
    """Open a file of another user, who may have put a link or a pipe there instead.

    Raises:
        OSError: It is no regular file.

    """
    if os.name == "nt" and flags == os.O_RDONLY:
        file = open_to_read(path)  # its process can remove it meanwhile
    else:
        file = open_bytes(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "no regular file", str(path))


def _is_locked(path: Path) -> bool:
    file = _opened(path, os.O_RDONLY)
    try:
        return not try_lock(file, shared=True)  # two that look do not take each other for the holder
    finally:
        os.close(file)


def _made(path: Path) -> int:
    """Make a lease of this process anew, and return its descriptor.

    On Windows, one that is left is not removed, or its name not free, while another process looks at it.
    """

    def make() -> int:
        path.unlink(missing_ok=True)
        return open_bytes(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    return once_free(make, _PATIENCE, (PermissionError, FileExistsError))


def _add(path: Path, said: dict[str, Any]) -> None:
    file = _opened(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, json.dumps(said).encode() + b"\n")
    finally:
        os.close(file)


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a lease; those that are torn or no lease are left out."""
    found = []
    with open(_opened(path, os.O_RDONLY), "rb") as file:
        lines = file.read(_MOST).splitlines()
    for line in lines:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and isinstance(said.get("began"), float):
                found.append(said)
    return found


def _user(said: dict[str, Any]) -> DeviceUser:
    pid = said.get("pid")
    stopped = isinstance(pid, int) and is_stopped(pid)
    return DeviceUser.of_lease({**said, "seconds": time.time() - said["began"], "stopped": stopped})

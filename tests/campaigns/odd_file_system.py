"""A folder whose file system is odd: slow, without hard links, or blind to case.

Needs libfuse 2 and the package `fusepy`. Whatever is run there meets that file system in its temporary files:

    python -m tests.campaigns.odd_file_system no-links tests.campaigns.results_faults kill9 --count 30
    python -m tests.campaigns.odd_file_system any-case pytest tests/results
"""

import argparse
import contextlib
import errno
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.waiting import within

KINDS: Final = ("slow", "no-links", "any-case")
SLOW: Final = {
    "fsync": 0.5,
    "fsyncdir": 0.5,
    "rename": 0.2,
    "create": 0.1,
    "open": 0.05,
    "write": 0.02,
    "read": 0.02,
}
"""Seconds that an operation takes."""
SERVE: Final = "serve"
"""The word by which this program is its own file server."""


def missing() -> str:
    """Return why no such folder can be made here; "" if one can."""
    if not sys.platform.startswith("linux") or not os.access("/dev/fuse", os.W_OK):
        return "there is no /dev/fuse"
    try:
        importlib.import_module("fuse")
    except ImportError:
        return "the package fusepy is missing"
    except OSError as error:
        return f"libfuse 2 is missing: {error}"
    return ""


@contextlib.contextmanager
def odd_folder(kind: str) -> Iterator[Path]:
    """Yield a folder on such a file system; its files are removed with it."""
    with tempfile.TemporaryDirectory(prefix="odd-") as name:
        real, odd = Path(name, "real"), Path(name, "odd")
        real.mkdir()
        odd.mkdir()
        command = [sys.executable, "-m", "tests.campaigns.odd_file_system", kind, SERVE, str(real), str(odd)]
        with subprocess.Popen(command) as server:
            try:
                assert within(300, odd.is_mount)
                yield odd
            finally:
                subprocess.run(["umount", "-l", str(odd)], check=False)
                server.terminate()


def serve(kind: str, real: Path, odd: Path) -> None:
    """Serve a folder until it is unmounted."""
    fuse = importlib.import_module("fuse")
    fault = fuse.FuseOSError

    class Folder(fuse.Operations):  # type: ignore[misc, name-defined]
        """Passes operations on to the real folder, each path resolved as the file system's kind is."""

        def __call__(self, operation: str, path: str, *args: Any) -> Any:
            if not hasattr(self, operation):
                raise fault(errno.EFAULT)
            if kind == "slow":
                time.sleep(SLOW.get(operation, 0.002))
            found = path if operation == "symlink" else resolved(path)
            try:
                return getattr(self, operation)(found, *args)
            except OSError as error:
                raise fault(error.errno) from None

        def getattr(self, path: str, descriptor: int | None = None) -> dict[str, Any]:
            found = os.lstat(path) if descriptor is None else os.fstat(descriptor)
            names = ("atime", "ctime", "gid", "mode", "mtime", "nlink", "size", "uid", "blocks", "ino")
            return {f"st_{name}": getattr(found, f"st_{name}") for name in names}

        def readdir(self, path: str, _: int) -> list[str]:
            return [".", "..", *os.listdir(path)]

        def open(self, path: str, flags: int) -> int:
            return os.open(path, flags)

        def create(self, path: str, mode: int, info: Any = None) -> int:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def read(self, path: str, size: int, at: int, descriptor: int) -> bytes:
            return os.pread(descriptor, size, at)

        def write(self, path: str, data: bytes, at: int, descriptor: int) -> int:
            return os.pwrite(descriptor, data, at)

        def truncate(self, path: str, length: int, descriptor: int | None = None) -> None:
            os.truncate(path if descriptor is None else descriptor, length)

        def release(self, path: str, descriptor: int) -> None:
            os.close(descriptor)

        def fsync(self, path: str, is_data: int, descriptor: int) -> None:
            os.fsync(descriptor)

        def rename(self, path: str, new: str) -> None:
            os.rename(path, resolved(new))

        def link(self, new: str, path: str) -> None:
            if kind == "no-links":
                raise OSError(errno.EPERM, "")
            os.link(resolved(path), new)

        def symlink(self, new: str, path: str) -> None:
            os.symlink(path, resolved(new))

        def readlink(self, path: str) -> str:
            return os.readlink(path)

        def mknod(self, path: str, mode: int, device: int) -> None:
            os.mknod(path, mode, device)

        def mkdir(self, path: str, mode: int) -> None:
            os.mkdir(path, mode)

        def unlink(self, path: str) -> None:
            os.unlink(path)

        def rmdir(self, path: str) -> None:
            os.rmdir(path)

        def chmod(self, path: str, mode: int) -> None:
            os.chmod(path, mode)

        def chown(self, path: str, user: int, group: int) -> None:
            os.lchown(path, user, group)

        def utimens(self, path: str, times: tuple[float, float] | None = None) -> None:
            os.utime(path, times)

        def access(self, path: str, mode: int) -> None:
            if not os.access(path, mode):
                raise OSError(errno.EACCES, "")

        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(path)
            names = (
                "bavail",
                "bfree",
                "blocks",
                "bsize",
                "favail",
                "ffree",
                "files",
                "flag",
                "frsize",
                "namemax",
            )
            return {f"f_{name}": getattr(found, f"f_{name}") for name in names}

    def resolved(path: str) -> str:
        """Return the real path; where case does not matter, with the names that are there."""
        place = str(real)
        for part in path.strip("/").split("/"):
            if kind == "any-case" and part and not os.path.lexists(os.path.join(place, part)):
                with contextlib.suppress(OSError):
                    part = next(
                        (each for each in os.listdir(place) if each.casefold() == part.casefold()), part
                    )
            place = os.path.join(place, part)
        return place.rstrip("/")

    fuse.FUSE(Folder(), str(odd), foreground=True, nothreads=False, use_ino=True)


def main() -> int:
    """Run a module in such a folder; return its status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("words", metavar="MODULE [ARGUMENT ...]", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if reason := missing():
        print(f"skipped: {reason}")
        return 0
    if options.words[:1] == [SERVE]:
        serve(options.kind, *map(Path, options.words[1:]))
        return 0
    with odd_folder(options.kind) as folder:
        environment = {**os.environ, "TMPDIR": str(folder)}
        return subprocess.run([sys.executable, "-m", *options.words], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

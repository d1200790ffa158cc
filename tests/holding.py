"""Keeps other programs from a file for a while, as virus scanners and backups on Windows do."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

windows = pytest.mark.skipif(
    sys.platform != "win32", reason="no program can keep others from a file elsewhere"
)

READERS, WRITERS = 1, 2
"""FILE_SHARE_READ, FILE_SHARE_WRITE."""


@contextlib.contextmanager
def held(path: Path, share: int = 0, *, seconds: float | None = None) -> Iterator[None]:
    """Keep others from a file while the context lasts, or for so many seconds.

    Args:
        path: The file.
        share: What others may do with it meanwhile: 0, nothing; `READERS`, read it; `WRITERS`, write it.
        seconds: Time after which it is let go; None: the end of the context.

    """
    if sys.platform != "win32":
        raise NotImplementedError("only Windows can")
    else:
        import _winapi

        handle = _winapi.CreateFile(str(path), _winapi.GENERIC_READ, share, 0, _winapi.OPEN_EXISTING, 0, 0)
        timer = threading.Timer(0.0 if seconds is None else seconds, _winapi.CloseHandle, (handle,))
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            if seconds is None:
                _winapi.CloseHandle(handle)
            else:
                timer.join()

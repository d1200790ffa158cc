"""The token of the page in a file that only its owner can read."""

import os
import time
from pathlib import Path
from typing import Final

from devicedb.opening import open_bytes, why_not_opened
from rexec.web.errors import WebError
from rexec.web.guard import new_token

_PATIENCE: Final = 1.0
"""Seconds for another server that has just made the file and writes the token."""


def kept_token(path: Path) -> str:
    """Return the token in a file, which is made where it is missing.

    Raises:
        WebError: It cannot be read or made, holds no token, or others can read it.

    """
    try:
        try:
            with os.fdopen(open_bytes(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_token() + "\n")
        except FileExistsError:
            pass
        mode = path.stat().st_mode
        token = _read(path)
    except OSError as error:
        raise WebError(f"token file {path}: {why_not_opened(error)}") from error
    except UnicodeDecodeError as error:
        raise WebError(f"token file {path}: {error}") from error
    if os.name == "posix" and mode & 0o077:
        raise WebError(f"others can read the token file {path}: chmod 600 {path}")
    if len(token) < 20 or not token.isascii() or not token.isprintable() or " " in token:
        raise WebError(f"token file {path} holds no token: delete it, and one is made")
    return token


def _read(path: Path) -> str:
    until = time.monotonic() + _PATIENCE
    while not (token := path.read_text("utf-8").strip()) and time.monotonic() < until:
        time.sleep(0.01)
    return token

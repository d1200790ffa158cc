"""The child process of `rexec.master.loading`: it imports as little as it can, to start fast."""

import json
import os
import queue
from collections.abc import Callable
from typing import Any

from devicedb import DatabaseLoadError, DeviceDatabase, load_file
from rexec.wire import pyon


def main(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None], path: str) -> None:
    """Load a device database and say what came of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it prints is for nobody
    say(b"started")
    try:
        outcome: dict[str, Any] = {"database": _encoded(load_file(path))}
    except DatabaseLoadError as error:
        outcome = {"error": [error.origin, error.line, error.problem]}
    say(json.dumps(outcome).encode())


def _encoded(database: DeviceDatabase) -> str:
    for name, entry in database.raw.items():
        try:
            pyon.encode(entry)
        except (TypeError, ValueError) as error:
            problem = f"the entry {name!r} cannot be sent to anybody: {error}. Write plain values"
            raise DatabaseLoadError(database.origin, None, problem) from None
    return pyon.encode(database.raw)

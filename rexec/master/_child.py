"""The program of the process that loads a device database: it imports as little as it can, to start fast."""

import json
import sys
from pathlib import Path
from typing import Any

from devicedb import DatabaseLoadError, DeviceDatabase, load_file
from rexec.wire import pyon


def main(path: str, result: str) -> None:
    """Load a device database and write what came of it."""
    try:
        outcome: dict[str, Any] = {"database": _encoded(load_file(path))}
    except DatabaseLoadError as error:
        outcome = {"error": [error.origin, error.line, error.problem]}
    Path(result).write_text(json.dumps(outcome), encoding="utf-8")


def _encoded(database: DeviceDatabase) -> str:
    for name, entry in database.raw.items():
        try:
            pyon.encode(entry)
        except (TypeError, ValueError) as error:
            problem = f"the entry {name!r} cannot be sent to anybody: {error}. Write plain values"
            raise DatabaseLoadError(database.origin, None, problem) from None
    return pyon.encode(database.raw)


if __name__ == "__main__":
    main(*sys.argv[1:])

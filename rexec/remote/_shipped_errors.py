"""Runs on the controller, of any make: exceptions of shipped code as values, with the code's real file names."""

from __future__ import annotations

import builtins
import contextlib
import traceback
from typing import Any

SELF_FILE = "<rexec agent>"


def pack(error: BaseException, files: dict[str, str]) -> dict[str, Any]:
    """Return an exception as a value: class, message, arguments, and its traceback as text."""
    kind = type(error)
    with contextlib.suppress(Exception):
        told = traceback.TracebackException.from_exception(error)
        rename(told, files, 0)
        text = "".join(told.format())
        frames = told.stack.format()
        notes = [str(note) for note in getattr(error, "__notes__", [])]
        plain = all(isinstance(a, str | bytes | int | float | None) for a in error.args)
        arguments = list(error.args) if plain else None
        return {
            "class": kind.__qualname__,
            "builtin": getattr(builtins, kind.__name__, None) is kind,
            "message": str(error),
            "args": arguments,
            "frames": frames,
            "text": text,
            "notes": notes,
        }
    return {
        "class": kind.__qualname__,
        "builtin": False,
        "message": "<its message could not be made>",
        "args": None,
        "frames": [],
        "text": "",
        "notes": [],
    }


def rename(told: Any, files: dict[str, str], depth: int) -> None:
    """Give frames of shipped code their real file names, and leave out those of this module."""
    stack = [frame for frame in told.stack if frame.filename != SELF_FILE]
    for frame in stack:
        frame.filename = files.get(frame.filename, frame.filename)
    told.stack = traceback.StackSummary.from_list(stack)
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None and depth < 50:
            rename(other, files, depth + 1)

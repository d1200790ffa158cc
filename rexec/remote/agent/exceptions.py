"""Runs on the controller, of any make: exceptions of shipped code as values, with the code's real file names."""

from __future__ import annotations

import builtins
import traceback
from typing import Any

from rexec.remote.agent.output import PREFIX
from rexec.remote.agent.sendable import problem_of

SELF_FILE = "<rexec agent>"


def pack(error: BaseException, files: dict[str, str]) -> dict[str, Any]:
    """Return an exception as a value: class, message, state, and its traceback as text; whatever its methods do."""
    try:
        return packed(error, files)
    except BaseException as inner:
        return {
            "class": type.__getattribute__(type(error), "__name__"),
            "builtin": False,
            "message": f"<{type(inner).__name__} while the message was made>",
            "args": None,
            "module": "",
            "state": {},
            "frames": [],
            "text": "",
            "notes": [],
        }


def packed(error: BaseException, files: dict[str, str]) -> dict[str, Any]:
    """Return an exception as a value, unless one of its methods raises."""
    kind = type(error)
    told = traceback.TracebackException.from_exception(error)
    rename(told, files, 0)
    state = {
        name: value for name, value in vars(error).items() if name != "__notes__" and not problem_of(value)
    }
    plain = all(isinstance(a, str | bytes | int | float | None) for a in error.args)
    return {
        "class": kind.__qualname__,
        "builtin": getattr(builtins, kind.__name__, None) is kind,
        "message": str(error),
        "args": list(error.args) if plain and not problem_of(error.args) else None,
        "module": kind.__module__,
        "state": state,
        "frames": told.stack.format(),
        "text": plain_names("".join(told.format())),
        "notes": [str(note) for note in getattr(error, "__notes__", [])],
    }


def plain_names(text: str) -> str:
    """Return a traceback with the names of shipped modules as they are on the client."""
    return text.replace(f"{PREFIX}__main__.", "").replace(PREFIX, "")


def rename(told: Any, files: dict[str, str], depth: int) -> None:
    """Give frames of shipped code their real file names; leave out those above, and those of this module."""
    stack = [frame for frame in told.stack if frame.filename != SELF_FILE]
    first = next((number for number, frame in enumerate(stack) if frame.filename in files), 0)
    stack = stack[first:]
    for frame in stack:
        frame.filename = files.get(frame.filename, frame.filename)
    told.stack = traceback.StackSummary.from_list(stack)
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None and depth < 50:
            rename(other, files, depth + 1)

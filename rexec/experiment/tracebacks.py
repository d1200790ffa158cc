"""Shows an experiment's error as its author needs it: the frames from the experiment's file inward."""

import traceback
from pathlib import Path
from typing import Final

import devicedb
import rexec
import schemas

_OURS: Final = tuple(str(Path(str(each.__file__)).resolve().parent) for each in (schemas, devicedb, rexec))


def user_traceback(error: BaseException, file: Path) -> str:
    """Return the traceback of `error` and its causes without the frames of this program.

    Args:
        error: What the experiment raised.
        file: The experiment's file.

    Returns:
        As Python prints it, without the end of line.

    """
    shown = traceback.TracebackException.from_exception(error, compact=True)
    _trim(shown, str(file.absolute()))
    return "".join(shown.format()).rstrip("\n")


def place(error: BaseException, file: Path) -> str | None:
    """Return `file.py:LINE` of the innermost line of the experiment's folder that led to `error`."""
    folder = file.absolute().parent
    where = None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path == file.absolute() or (folder in path.parents and "site-packages" not in path.parts):
            if not _is_ours(frame.filename):
                where = f"{path.name}:{frame.lineno}"
    return where


def _trim(shown: traceback.TracebackException, file: str) -> None:
    """Drop frames before the experiment's file and all of ours, in `shown` and its chain."""
    frames = list(shown.stack)
    first = next((number for number, frame in enumerate(frames) if frame.filename == file), 0)
    kept = [frame for frame in frames[first:] if not _is_ours(frame.filename)]
    shown.stack[:] = kept
    parts = [shown.__cause__, shown.__context__, *(shown.exceptions or ())]
    for part in parts:
        if part is not None:
            _trim(part, file)


def _is_ours(filename: str) -> bool:
    """Whether a frame belongs to this program (an example inside its repository does not)."""
    return any(Path(own) in Path(filename).parents for own in _OURS)

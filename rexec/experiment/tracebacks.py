"""Shows an experiment's error with the frames from the experiment's file inward."""

import ast
import linecache
import traceback
from pathlib import Path
from typing import Final

import devicedb
import rexec
import schemas
from devicedb.printable import inset

_OURS: Final = tuple(str(Path(str(each.__file__)).resolve().parent) for each in (schemas, devicedb, rexec))


def user_traceback(error: BaseException, file: Path) -> str:
    """Return the traceback of `error` and its causes without the frames of this program.

    Args:
        error: What the experiment raised.
        file: The experiment's file.

    Returns:
        As Python prints it, without the end of line; messages of several lines are indented.

    """
    shown = traceback.TracebackException.from_exception(error)
    _trim(shown, str(file.absolute()))
    return "".join(map(_inset, shown.format())).rstrip("\n")


def _inset(part: str) -> str:
    """Indent the further lines of an error's message, so that none passes for a line of ours."""
    if part.startswith("\n"):  # between the errors of a chain
        return part
    return inset(part.rstrip("\n")) + "\n"


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


def argument_at(error: BaseException) -> str | None:
    """Return the name of the argument whose processor raised an error in its constructor; None for other errors.

    It is the first argument of the innermost call of `setattr_argument` or `get_argument` at the error's line.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _is_ours(frame.f_code.co_filename):
            continue
        try:
            tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)))
        except SyntaxError:  # the file has changed since it was run
            continue
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and node.args and node.lineno <= line <= (node.end_lineno or 0)
            and isinstance(node.func, ast.Attribute) and node.func.attr in ("setattr_argument", "get_argument")
        ]  # fmt: skip
        if calls:
            key = calls[-1].args[0]
            name = key.value if isinstance(key, ast.Constant) else None
            if isinstance(key, ast.Name):
                name = frame.f_locals.get(key.id)
            return name if isinstance(name, str) else None
    return None


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

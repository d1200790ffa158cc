"""Notes each line of the product that runs, in every process that is started with this folder on PYTHONPATH.

A line is written when it first runs, not at the end of the process: children of ours end by `os._exit`, at a limit, or
by a kill. A code object all of whose lines have run costs no more than its calls.
"""

import os
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

_notes = os.open(os.environ["REXEC_LINES_RUN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_wanted = tuple(os.environ["REXEC_LINES_OF"].split(os.pathsep))
_left: dict[int, tuple[CodeType, set[int]]] = {}
"""Lines of each code object that have not run; the object, so that its id stays its own."""


def _called(frame: FrameType, event: str, argument: Any) -> Any:
    code = frame.f_code
    if not code.co_filename.startswith(_wanted):
        return None
    known = _left.get(id(code))
    if known is None:
        known = _left[id(code)] = code, {line for _, _, line in code.co_lines() if line}
    return _traced if known[1] else None


def _traced(frame: FrameType, event: str, argument: Any) -> Any:
    code = frame.f_code
    left = _left[id(code)][1]
    line = frame.f_lineno
    if event == "line" and line in left:
        left.discard(line)
        os.write(_notes, f"{line} {code.co_filename}\n".encode())
    return _traced if left else None


def arm() -> None:
    """Note the lines of this thread, and of those that start from now on."""
    threading.settrace(_called)
    sys.settrace(_called)


def _add_hook(hook: Callable[[str, tuple[Any, ...]], None]) -> None:
    def traced(event: str, arguments: tuple[Any, ...]) -> None:
        hook(event, arguments)

    traced.__cantrace__ = True  # type: ignore[attr-defined]  # without it, Python traces no audit hook
    _real_add_hook(traced)


_real_add_hook, sys.addaudithook = sys.addaudithook, _add_hook
arm()

"""Has a trace function called before each instruction of a frame."""

from collections.abc import Callable
from types import FrameType
from typing import Any


def trace_opcodes(frame: FrameType, trace: Callable[[FrameType, str, Any], Any]) -> None:
    """Have `trace` called for the instructions of a frame, and not for its lines; for a trace function at a call.

    CPython 3.13 heeds `f_trace_opcodes` at once only where `f_trace` is set, which a return from the trace function
    sets too late: the first frame of a function would pass without an event.
    """
    frame.f_trace = trace
    frame.f_trace_lines, frame.f_trace_opcodes = False, True

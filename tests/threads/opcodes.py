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


class Interrupter:
    """Does something, once, before the n-th bytecode of some files, in the threads that trace.

    Args:
        number: Which bytecode.
        act: What is done; it may raise.
        wanted: Whether code of a file counts.

    """

    def __init__(self, number: int, act: Callable[[], object], wanted: Callable[[str], bool]) -> None:
        self.left = number
        self.act = act
        self.wanted = wanted
        self.acted = False

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Trace calls of code that counts."""
        if self.acted or not self.wanted(frame.f_code.co_filename):
            return None
        trace_opcodes(frame, self.within)
        return self.within

    def within(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Count bytecodes."""
        if event == "opcode" and not self.acted:
            self.left -= 1
            if self.left < 0:
                self.acted = True
                self.act()
        return self.within

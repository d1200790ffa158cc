"""Raises an exception at each place of an operation where CPython looks for signals: Ctrl-C, or one from a thread.

Those are the beginnings of functions, the instructions that follow a call, and the backward jumps of loops. Every line
with any of these is among them; nothing is raised between two other instructions, so that is not tried either.
"""

import contextlib
import dis
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import CodeType, FrameType
from typing import Any, Final, TypeVar

from tests.threads.interleaving import TURNS, is_in
from tests.threads.opcodes import trace_opcodes
from tests.threads.watched import watching

_LOOKS: Final = ("CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")

S = TypeVar("S")


@cache
def _looks(code: CodeType) -> frozenset[int]:
    """Return the offsets of the instructions after which the interpreter looks for signals, RESUME left out."""
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname.startswith(_LOOKS))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: a finalizer would be interrupted in place of the operation, unheard of."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Interrupt:
    """Raises an exception at one of the places.

    Args:
        place: Number of the place, from 0.
        files: Ends of the names of the files whose places count.
        error: What is raised.

    """

    def __init__(
        self, place: int, files: Sequence[str], error: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.where = ""
        """Function and line, once it was raised."""
        self._left, self._files, self._error = place, files, error
        self._last: dict[FrameType, int | None] = {}
        """Offset of the last instruction of each frame; None: RESUME, which is no event of its own."""
        self._turns: Counter[tuple[CodeType, int]] = Counter()

    def during(self, act: Callable[[], object]) -> bool:
        """Call a function; return whether it has raised the exception."""
        before = sys.gettrace()
        with uncollected():
            sys.settrace(self._trace)
            try:
                act()
            except self._error:
                return True
            finally:
                sys.settrace(before)
                self._last.clear()
            return False

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if self.where or not is_in(frame, self._files):
            return None
        trace_opcodes(frame, self._trace)
        if event == "call":
            self._last[frame] = None
        elif event == "opcode":
            last, self._last[frame] = self._last.get(frame), frame.f_lasti
            if last is None or last in _looks(frame.f_code):
                self._turns[frame.f_code, frame.f_lasti] += 1
                self._left -= self._turns[frame.f_code, frame.f_lasti] <= TURNS
                if self._left < 0:
                    self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                    raise self._error
        return self._trace


def interrupted_everywhere(
    make: Callable[[], S],
    act: Callable[[S], object],
    check: Callable[[S, bool, str], object],
    files: Sequence[str],
    *,
    error: type[BaseException] = KeyboardInterrupt,
    shared: Sequence[tuple[object, str]] = (),
    every: int = 1,
) -> int:
    """Interrupt an operation at each place in turn; return the number of places. Afterwards its locks must be free.

    Args:
        make: Returns a new state; the locks that it makes are watched.
        act: The operation.
        check: Called with the state, whether the operation raised, and the place; asserts what must hold.
        files: Ends of the names of the files whose places count.
        error: What is raised.
        shared: Locks of modules or classes, as object and name.
        every: Try each n-th place only.

    """
    place = 0
    while True:
        interrupt = Interrupt(place, files, error)
        with watching(*shared) as locks:
            state = make()
            raised = interrupt.during(lambda: act(state))  # noqa: B023  # called at once
            held = [lock for lock in locks if lock.is_held()]
        assert not held, f"{len(held)} locks stay held after an interrupt at {interrupt.where}"
        check(state, raised, interrupt.where)
        if not interrupt.where:
            return place
        place += every

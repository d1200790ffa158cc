"""Lets one thread go first at each place of another one: the outcome must be that of one after the other.

A thread stops before each instruction that may read or change what threads share, in turn. The other thread runs there
to its end, or until it waits for a lock (which the lock tells, see `watched`), and then the first goes on. No order is
left to the clock, so a run finds the same each time. The model is one switch in the middle of either thread; local
instructions are no places, because it makes no difference when they run.
"""

import dis
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from types import CodeType, FrameType
from typing import Any, Final, Generic, TypeVar

from tests.threads.opcodes import trace_opcodes
from tests.threads.watched import told_of_waits, watching, watching_calls

LIMIT: Final = 60.0
"""Seconds for what takes milliseconds; a thread that waits for anything but a watched lock never gets further."""

JOINED: Final = LIMIT
"""Seconds in which a thread ends that nothing holds up any more; then it counts as locked for ever."""

TURNS: Final = 3
"""How often an instruction is a place: in the first turns of a loop."""

_SHARING: Final = (
    *(
        "LOAD_ATTR",
        "LOAD_METHOD",
        "STORE_ATTR",
        "DELETE_ATTR",
        "BINARY_SUBSCR",
        "STORE_SUBSCR",
        "DELETE_SUBSCR",
    ),
    *(
        "BINARY_OP",
        "BINARY_SLICE",
        "STORE_SLICE",
        "CONTAINS_OP",
        "COMPARE_OP",
        "FOR_ITER",
        "GET_ITER",
        "CALL",
    ),
    *(
        "BEFORE_WITH",
        "LOAD_SPECIAL",
        "STORE_GLOBAL",
        "STORE_DEREF",
        "LIST_EXTEND",
        "DICT_UPDATE",
        "DICT_MERGE",
    ),
)

S = TypeVar("S")


@cache
def sharing_offsets(code: CodeType) -> frozenset[int]:
    """Return the offsets of the instructions that may read or change what threads share."""
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname.startswith(_SHARING))


def is_in(frame: FrameType, files: Sequence[str]) -> bool:
    """Return whether a frame runs code of one of the files, given by the ends of their names."""
    return frame.f_code.co_filename.replace("\\", "/").endswith(tuple(files))


@dataclass(frozen=True)
class Race(Generic[S]):
    """Two operations on what threads share.

    Args:
        make: Returns a new state; the locks that it makes are watched.
        first, second: The operations. What they return or raise is a part of the outcome.
        seen: Returns what is left in the state, as a value that can be compared; closes the state, too.
        files: Ends of the names of the files in which a thread is stopped.
        shared: Locks of modules or classes, as object and name.
        every: Try each n-th place only.
        overlaps: Number of places at which the other thread is stopped, too, until the first one has ended: for
            operations that may lie within each other, but not overlap.

    """

    make: Callable[[], S]
    first: Callable[[S], object]
    second: Callable[[S], object]
    seen: Callable[[S], object]
    files: Sequence[str]
    shared: Sequence[tuple[object, str]] = ()
    every: int = 1
    overlaps: int = 0

    def check(self) -> int:
        """Try the places of both operations; return the number of tries. AssertionError at one with a wrong outcome."""
        allowed = [self._one_after_the_other(*each) for each in ((0, 1), (1, 0))]
        for number in (0, 1):
            assert not all(isinstance(each[number], _Raised) for each in allowed), f"always fails: {allowed}"
        tries = 0
        for stopped in (0, 1):
            for other_place in range(-1, self.overlaps * self.every, self.every):
                place = 0
                while (found := self._at(stopped, place, other_place)) is not None:
                    outcome, where = found
                    assert outcome in allowed, (
                        f"{('first', 'second')[stopped]} operation stopped before {where}: {outcome}; "
                        f"one after the other: {allowed}"
                    )
                    place, tries = place + self.every, tries + 1
        return tries

    def _one_after_the_other(self, *order: int) -> tuple[Any, ...]:
        state = self.make()
        said: list[Any] = [None, None]
        for each in order:
            said[each] = _said((self.first, self.second)[each], state)
        return (*said, self.seen(state))

    def _at(self, stopped: int, place: int, other_place: int) -> tuple[tuple[Any, ...], str] | None:
        """Return the outcome if one thread is stopped at a place, and where that is; None: there is no such place.

        The other one is stopped at `other_place` until the first one has ended; -1: not at all.
        """
        with watching(*self.shared), watching_calls():
            state = self.make()
            works = (self.first, self.second)
            one = _Racer(works[stopped], state)
            one.stop_at(place, self.files)
            one.start()
            while one.wait("does not get to its place") == "waits":
                pass  # for a thread that it has started
            if one.where:
                other = _Racer(works[1 - stopped], state)
                other.stop_at(other_place, self.files)
                other.start()
                other.wait(f"waits for something else than a lock, the other being at {one.where}")
                one.go_on()
                if other.where:
                    one.wait(f"does not get further from {one.where}")
                other.go_on()
                other.join()
            one.join()
        seen = self.seen(state)
        if not one.where:
            return None
        said = (one.said, other.said) if stopped == 0 else (other.said, one.said)
        return (*said, seen), one.where


class _Racer:
    def __init__(self, work: Callable[[Any], object], state: Any) -> None:
        self.said: Any = None
        self.where = ""
        self._work, self._state = work, state
        self._left, self._files = -1, [""]
        self._turns: Counter[tuple[CodeType, int]] = Counter()
        # No semaphores, whose own locks would be watched.
        self._news: SimpleQueue[str] = SimpleQueue()
        self._go: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def stop_at(self, place: int, files: Sequence[str]) -> None:
        self._left, self._files = place, list(files)

    def start(self) -> None:
        self._thread.start()

    def wait(self, problem: str) -> str:
        """Wait until it has stopped, has ended, or waits for a lock or a condition; return which."""
        try:
            return self._news.get(timeout=LIMIT)
        except Empty:
            raise AssertionError(f"a thread {problem}") from None

    def go_on(self) -> None:
        self._go.put(None)

    def join(self) -> None:
        self._thread.join(JOINED)
        assert not self._thread.is_alive(), f"deadlock: one thread was before {self.where or 'its end'}"

    def _run(self) -> None:
        told_of_waits(lambda: self._news.put("waits"))
        if self._left >= 0:
            sys.settrace(self._trace)
        try:
            self.said = _said(self._work, self._state)
        finally:
            sys.settrace(None)
            self._news.put("ended")

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if self.where or not is_in(frame, self._files):
            return None
        trace_opcodes(frame, self._trace)
        if event == "opcode" and frame.f_lasti in sharing_offsets(frame.f_code):
            self._turns[frame.f_code, frame.f_lasti] += 1
            self._left -= self._turns[frame.f_code, frame.f_lasti] <= TURNS
            if self._left < 0:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                self._news.put("stopped")
                self._go.get(timeout=2 * LIMIT)
        return self._trace


class _Raised(str):
    """What an operation raised."""


def _said(work: Callable[[Any], object], state: Any) -> Any:
    try:
        return work(state)
    except Exception as error:
        return _Raised(f"{type(error).__name__}: {error}")

"""A lock that belongs to a function call, and is free again once that call has ended, however it ended.

The holder is the *frame* of a call, and a waiting call checks whether that frame still runs. So neither a
KeyboardInterrupt between any two instructions, nor a fork while another thread holds the lock, nor the end of a
thread leaves it held. A signal handler or finalizer that interrupts the holder in its own thread is refused, because
it would wait for itself.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

from rexec.wire.errors import ReentrantCall

_POLL: Final = 0.25
"""Seconds after which the first waiting call checks whether the holder still runs; the n-th waits n times as long."""

_frame: Final = sys._getframe  # noqa: SLF001 - documented, and what `inspect` uses

_Bell = SimpleQueue[None]


class CallLock:
    """Lets one call at a time go on, in the order in which they came.

    Args:
        what: What a call is, for the error of a re-entrant one.
        refusal: The class of that error.

    """

    def __init__(self, what: str = "a call of this client", refusal: type[Exception] = ReentrantCall) -> None:
        self._text = f"re-entrant call: this thread is already in {what} (signal handler or finalizer?)"
        self._refusal = refusal
        self._queue: dict[FrameType, _Bell | None] = {}
        """Calls in their order, the holder first. Every operation on it is atomic, and removing is idempotent."""
        self._lender: FrameType | None = None

    def acquire(self, timeout: float | None) -> bool:
        """Wait until the caller's frame holds the lock; return whether it does. `release` must follow in either case.

        Args:
            timeout: In seconds; None: any time.

        Raises:
            ReentrantCall: A call further down in this thread's stack holds the lock, or waits for it; `refusal`.

        """
        call = _frame(1)
        queue = self._queue
        queue[call] = None
        return len(queue) == 1 or self._wait(call, timeout)

    def release(self) -> None:
        """End the caller's turn, and let the next call go on."""
        self._queue.pop(_frame(1), None)
        if self._queue:
            self._ring()

    def __enter__(self) -> None:
        call = _frame(1)
        try:
            self._queue[call] = None
            if len(self._queue) > 1:
                self._wait(call, None)
        except BaseException:
            self._leave(call)
            raise

    def __exit__(self, *exc_info: object) -> None:
        self._leave(_frame(1))

    def _leave(self, call: FrameType) -> None:
        self._queue.pop(call, None)
        if self._queue:
            self._ring()

    def _ring(self) -> None:
        for bell in list(self._queue.values()):
            if bell is not None:
                bell.put(None)
                return

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Let calls that the holder makes meanwhile go on at once."""
        self._lender = next(iter(list(self._queue)), None)
        try:
            yield
        finally:
            self._lender = None

    def is_lent(self) -> bool:
        """Return whether the caller is called by a holder that lends the lock."""
        return self._lender is not None and self._lender in _stack(_frame())

    def refuse_reentry(self) -> None:
        """Raise what `acquire` raises, without waiting for the lock."""
        if self._queue and not set(_stack(_frame(1))).isdisjoint(list(self._queue)):
            raise self._refused()

    def _refused(self) -> Exception:
        return self._refusal(self._text)

    def _wait(self, call: FrameType, timeout: float | None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        own = set(_stack(call.f_back))
        bell: _Bell = SimpleQueue()
        self._queue[call] = bell  # before the queue is looked at: a release after that rings it
        while True:
            ahead = list(self._queue)
            ahead = ahead[: ahead.index(call)]
            below = own.intersection(ahead)
            if below == {self._lender}:
                return True
            if below:
                raise self._refused()
            if not ahead:
                return True
            patience = _POLL * len(ahead)
            left = patience if until is None else min(until - time.monotonic(), patience)
            try:
                bell.get(timeout=max(left, 0.0))
            except Empty:
                running = {frame for top in sys._current_frames().values() for frame in _stack(top)}  # noqa: SLF001
                for frame in ahead:
                    if frame not in running:
                        self._queue.pop(frame, None)
                if until is not None and time.monotonic() >= until:
                    return next(iter(list(self._queue))) is call


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back

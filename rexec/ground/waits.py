"""Waits that Ctrl-C ends.

On Windows no signal handler runs while the main thread waits for a lock. Elsewhere a signal ends such a wait, but one
that comes after Python has last looked for signals, and before the wait has begun, would be noticed after it only.
"""

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent import futures
from typing import Any, Final, TypeVar

R = TypeVar("R")
T = TypeVar("T")

_LOOK_UP: Final = 0.2 if sys.platform == "win32" else 1.0
"""Longest time for which the main thread waits without running a signal handler, in seconds."""


def wait_in_slices(wait: Callable[[float], bool], timeout: float | None = None) -> bool:
    """Wait in slices that are short enough for Ctrl-C.

    Args:
        wait: Waits for so many seconds, and returns whether what it waits for has come.
        timeout: Seconds to wait at most; None: any time.

    Returns:
        Whether it has come.

    """
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _LOOK_UP if until is None else min(_LOOK_UP, max(0.0, until - time.monotonic()))
        if wait(left):
            return True
        if until is not None and time.monotonic() >= until:
            return False


def next_of(items: "queue.Queue[T] | queue.SimpleQueue[T]", timeout: float) -> T:
    """Wait for the next item of a queue, and take it.

    Raises:
        queue.Empty: None has come within so many seconds.

    """
    found: list[T] = []

    def wait(seconds: float) -> bool:
        with contextlib.suppress(queue.Empty):
            found.append(items.get(timeout=seconds))
        return bool(found)

    if not wait_in_slices(wait, timeout):
        raise queue.Empty
    return found[0]


def join_all(threads: Collection[threading.Thread], timeout: float | None = None) -> None:
    """Wait for the end of threads.

    Args:
        threads: The threads, started.
        timeout: Seconds to wait for each; None: any time.

    """
    for thread in threads:
        wait_in_slices(
            lambda seconds, thread=thread: thread.join(seconds) or not thread.is_alive(),  # type: ignore[misc]
            timeout,
        )


def done_within(
    some: Collection[futures.Future[R]],
    timeout: float | None = None,
    return_when: str = futures.ALL_COMPLETED,
) -> set[futures.Future[R]]:
    """Wait for futures as `concurrent.futures.wait` does, and return those that are done."""
    found: set[futures.Future[R]] = set()

    def wait(seconds: float) -> bool:
        nonlocal found
        found, rest = futures.wait(some, seconds, return_when)
        return not rest or (return_when != futures.ALL_COMPLETED and bool(found))

    wait_in_slices(wait, timeout)
    return found


class InterruptibleFuture(futures.Future[R]):
    """A future whose wait Ctrl-C ends."""

    def result(self, timeout: float | None = None) -> R:
        """Wait for the end and return the value, as `concurrent.futures.Future`."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end and return the error, None without one, as `concurrent.futures.Future`."""
        self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: float | None) -> None:
        wait_in_slices(lambda seconds: _has_ended(self, seconds), timeout)


def _has_ended(future: futures.Future[Any], seconds: float) -> bool:
    try:
        futures.Future.exception(future, seconds)
    except futures.CancelledError:
        return True
    except TimeoutError:  # of this wait: what the future failed with is returned
        return False
    return True

"""An event that signal handlers and finalizers may set, whatever they interrupt."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class ReentrantEvent:
    """Like `threading.Event`, which has a lock: what interrupts its holder, in the same thread, would wait for ever.

    `SimpleQueue.put` may interrupt itself: https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
    """

    def __init__(self) -> None:
        self._is_set = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, which ends all waits."""
        self._is_set = True
        if self._bell.empty():
            self._bell.put(None)

    def clear(self) -> None:
        """Unset it. If another thread sets it meanwhile, it is set afterwards, or its setter came first."""
        self._is_set = False
        with suppress(Empty):
            while True:
                self._bell.get_nowait()

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most, and return whether it is; a wait may end early."""
        if not self._is_set:
            with suppress(Empty):
                self._bell.get(timeout=timeout)
        if self._is_set and self._bell.empty():
            self._bell.put(None)  # for other threads that wait
        return self._is_set

"""Locks that tell when a thread has to wait for them, so that no test guesses by the clock whether one does."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from rexec.wire.call_lock import CallLock

_makers: Final[dict[str, Any]] = {name: getattr(threading, name) for name in ("Lock", "RLock", "Condition")}
_waits: Final[dict[int, Callable[[], None]]] = {}
"""What to call before a thread waits, by its identity."""


def told_of_waits(tell: Callable[[], None]) -> None:
    """Have `tell` called before this thread waits for a watched lock or condition."""
    _waits[threading.get_ident()] = tell


def _tell() -> None:
    if tell := _waits.get(threading.get_ident()):
        tell()


class WatchedLock:
    """A `threading.Lock` or `RLock`.

    Args:
        lock: The real one.

    """

    def __init__(self, lock: Any) -> None:
        self._inner = lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Tell before waiting."""
        if self._inner.acquire(False):
            return True
        if not blocking:
            return False
        _tell()
        return bool(self._inner.acquire(True, timeout))

    def release(self) -> None:
        self._inner.release()

    def is_held(self) -> bool:
        """Return whether a thread has it; of a re-entrant lock, whether this one has."""
        owned = getattr(self._inner, "_is_owned", None)
        return bool(owned() if owned is not None else self._inner.locked())

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._inner.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _WatchedCondition(threading.Condition):
    def wait(self, timeout: float | None = None) -> bool:
        _tell()
        return bool(super().wait(timeout))


@contextlib.contextmanager
def watching(*shared: tuple[object, str]) -> Iterator[list[WatchedLock]]:
    """Watch the locks that are made in the context, and yield them.

    Args:
        shared: Locks that are there already, as object and name of its attribute; watched in the context only.

    """
    made: list[WatchedLock] = []

    def maker(kind: str) -> Callable[[], WatchedLock]:
        def make() -> WatchedLock:
            made.append(WatchedLock(_makers[kind]()))
            return made[-1]

        return make

    before = {(owner, name): getattr(owner, name) for owner, name in shared}
    for (owner, name), lock in before.items():
        made.append(WatchedLock(lock))
        setattr(owner, name, made[-1])
    threading.Lock, threading.RLock = maker("Lock"), maker("RLock")  # type: ignore[assignment]
    threading.Condition = _WatchedCondition  # type: ignore[misc]
    try:
        yield made
    finally:
        for name, make in _makers.items():
            setattr(threading, name, make)
        for (owner, name), lock in before.items():
            setattr(owner, name, lock)


_wait: Final = CallLock._wait


def _told_wait(self: CallLock, *args: Any) -> bool:
    _tell()
    return _wait(self, *args)


@contextlib.contextmanager
def watching_calls() -> Iterator[None]:
    """Watch every `CallLock`, too."""
    CallLock._wait = _told_wait  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        CallLock._wait = _wait  # type: ignore[method-assign]

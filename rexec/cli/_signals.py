"""What signals do to a command that serves until it is told to end."""

import _thread
import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

_SAME: Final = 0.5
"""Seconds in which two signals are one: `timeout` sends to the program and to its group, a terminal may, too."""

ENDING: Final = ("SIGINT", "SIGTERM", "SIGBREAK")
"""Names of the signals that end a program, of those that the system has."""


@contextmanager
def on_signals(actions: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Have signals call functions in the running event loop; those that the system does not have are left out.

    Args:
        actions: Functions by the signal's name.

    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(action: Callable[[], None]) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            loop.call_soon_threadsafe(action)

        return handle

    with _handlers({name: handler(action) for name, action in actions.items()}):
        yield


def interrupt() -> None:
    """End the program as Ctrl-C does where nothing is set on signals."""
    raise KeyboardInterrupt


@contextmanager
def set_on_signals(event: threading.Event, again: Callable[[], None] = interrupt) -> Iterator[None]:
    """Have the signals that end a program, and the loss of its terminal, set an event.

    Args:
        event: To be set.
        again: What a later signal does.

    """
    first: float | None = None

    def handle(number: int, frame: Any) -> None:
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now
            # Not from here: the main thread may be about to wait for the event, and hold its lock.
            _thread.start_new_thread(event.set, ())
        elif now - first > _SAME:
            again()

    with _handlers(dict.fromkeys((*ENDING, "SIGHUP"), handle)):
        yield


@contextmanager
def _handlers(handlers: Mapping[str, Callable[[int, Any], None]]) -> Iterator[None]:
    """Install handlers by the signal's name, of the signals that the system has."""
    before = {
        number: signal.signal(number, handle)
        for name, handle in handlers.items()
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            # None: a handler that was not set from Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

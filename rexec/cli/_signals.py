"""What signals do to a command that serves until it is told to end."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

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


@contextmanager
def set_on_signals(event: threading.Event) -> Iterator[None]:
    """Have the signals that end a program, and the loss of its terminal, set an event; the next one interrupts."""

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

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

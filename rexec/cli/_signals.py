"""Signal handlers of commands that serve until a signal ends them."""

import _thread
import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rexec.ground.signals import ending_signals, handlers_set, is_hangup

_SAME: Final = 0.5
"""Seconds within which two signals count as one: `timeout` and terminals signal both the program and its group."""


@contextmanager
def on_signals(
    end: Callable[[], None], others: Mapping[int, Callable[[], None]] | None = None
) -> Iterator[None]:
    """Call functions in the running event loop when signals arrive.

    Args:
        end: Called by each signal that ends the program, by SIGHUP once.
        others: Functions by the number of a signal, which then does not end the program. Signals that are ignored
            (SIGHUP under `nohup`) stay so.

    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    has_hung_up = False

    def handle(number: int, frame: Any) -> None:
        nonlocal has_hung_up
        if number in kept:
            loop.call_soon_threadsafe(kept[number])
        elif not (is_hangup(number) and has_hung_up):
            loop.call_soon_threadsafe(end)
        has_hung_up = has_hung_up or is_hangup(number)

    kept = {each: act for each, act in (others or {}).items() if signal.getsignal(each) != signal.SIG_IGN}
    with handlers_set(dict.fromkeys((*ending_signals(), *kept), handle)):
        yield


def interrupt() -> None:
    """End the program as Python's default Ctrl-C handler does."""
    raise KeyboardInterrupt


@contextmanager
def set_on_signals(event: threading.Event, again: Callable[[], None] = interrupt) -> Iterator[None]:
    """Set an event when a signal ends the program, or its terminal is lost.

    Args:
        event: The event.
        again: Called by a later signal other than SIGHUP.

    """
    first: float | None = None

    def handle(number: int, frame: Any) -> None:
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now
            # In another thread, because the interrupted main thread may hold the event's lock.
            _thread.start_new_thread(event.set, ())
        elif now - first > _SAME and not is_hangup(number):
            again()

    with handlers_set(dict.fromkeys(ending_signals(), handle)):
        yield

"""The signals that end a program, in one list for servers, commands and runs."""

import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from rexec.ground._console import console_ends_in_order

Handler = Callable[[int, FrameType | None], Any]

_ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, a supervisor, a lost terminal, Ctrl-Break of Windows; a system may lack some."""


def ending_signals() -> tuple[int, ...]:
    """Return the numbers of the signals that end this program; without SIGHUP under `nohup`."""
    numbers = [number for name in _ENDING if (number := getattr(signal, name, None)) is not None]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN:
        numbers.remove(hangup)
    return tuple(numbers)


def is_hangup(number: int) -> bool:
    """Return whether a signal is SIGHUP, which a lost terminal sends, often twice."""
    return number == getattr(signal, "SIGHUP", None)


def has_terminal() -> bool:
    """Return whether the process has a controlling terminal (with `setsid`, as a service or on Windows it has none)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def leave_lost_terminal() -> None:
    """Lead the standard streams nowhere if their terminal is lost, so that no output of the program's end fails."""
    for number in (0, 1, 2):
        try:
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, number)
                os.close(nowhere)
        except OSError:
            continue  # the stream is closed


def _leaving(handler: Handler) -> Handler:
    def handle(number: int, frame: FrameType | None) -> Any:
        leave_lost_terminal()
        return handler(number, frame)

    return handle


def _keep_wakeup_quiet() -> None:
    """Say nothing of a signal that finds the socket full by which it wakes an event loop: the loop is awake then.

    asyncio asks for that itself, but not on Windows.
    """
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)


@contextmanager
def handlers_set(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Set signal handlers while the block lasts; only in the main thread. That of SIGHUP leaves a lost terminal first.

    Args:
        handlers: Functions by the signal's number.

    """
    _keep_wakeup_quiet()
    before = {
        number: signal.signal(number, _leaving(handler) if is_hangup(number) else handler)
        for number, handler in handlers.items()
    }
    try:
        with console_ends_in_order():
            yield
    finally:
        for number, previous in before.items():
            # None: the handler was not set from Python, and cannot be restored.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

"""Ctrl-Break, a closed console window, a logoff and a shutdown of Windows, as Ctrl-C."""

import contextlib
import sys
from collections.abc import Iterator

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import signal
    import threading
    from ctypes import wintypes
    from typing import Final

    _BREAK: Final = 1
    _LAST: Final = frozenset({2, 5, 6})
    """The window is closed, the user logs off, the system shuts down."""

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)

    def _take(event: int) -> bool:
        """Turn an event into SIGINT, which alone wakes a main thread that sleeps. In a thread of the system."""
        if event != _BREAK and event not in _LAST:
            return False
        signal.raise_signal(signal.SIGINT)
        if event in _LAST:
            threading.Event().wait()  # the system ends the process when this returns, or after some 5 s
        return True

    _taken = _kind(_take)

    @contextlib.contextmanager
    def console_ends_in_order() -> Iterator[None]:
        """Have the console's other ways to end the program raise SIGINT while the block lasts."""
        is_ours = bool(_kernel.SetConsoleCtrlHandler(_taken, True))
        try:
            yield
        finally:
            if is_ours:
                _kernel.SetConsoleCtrlHandler(_taken, False)

else:

    @contextlib.contextmanager
    def console_ends_in_order() -> Iterator[None]:
        """Do nothing: other systems have signals for it."""
        yield


__all__ = ["console_ends_in_order"]

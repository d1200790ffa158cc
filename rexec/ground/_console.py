"""The console of Windows: its other ways to end a program as Ctrl-C, which ends also one that waits for a lock."""

import contextlib
import sys
from collections.abc import Iterator

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import os
    import signal
    import threading
    from ctypes import wintypes
    from typing import Final

    PATIENCE: Final = 2.0
    """Seconds within which a program that works runs a line of its main thread."""

    _PRESSED: Final = frozenset({0, 1})
    """Ctrl-C, Ctrl-Break."""

    _LAST: Final = frozenset({2, 5, 6})
    """The window is closed, the user logs off, the system shuts down."""

    _ONCE_MORE: Final = (
        b"Ctrl-C is not noticed yet: the program computes, or waits for a lock, which nothing interrupts on Windows. "
        b"Once more ends it at once.\n"
    )
    _ENDED: Final = (
        b"ended by a second Ctrl-C, without clean-up. The data of a run are in its journal: "
        b"'rexec results recover' writes the file.\n"
    )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)

    class _Attention:
        """Whether the main thread has run a line since Ctrl-C was pressed.

        Python calls a signal's handler between two lines of the main thread; one that waits for a lock without a bound
        runs none, and Windows interrupts no such wait. A *pending call* is made at the same places.
        """

        def __init__(self) -> None:
            self._mark = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._answer)
            self._answered = threading.Event()
            self._has_said = False

        def _answer(self, _: object) -> int:
            self._has_said = False
            self._answered.set()
            return 0

        def press(self) -> None:
            """Interrupt the main thread; when it had not noticed before, and that was said, end the program."""
            if self._has_said:
                self._say(_ENDED)
                os._exit(130)
            self._answered.clear()
            signal.raise_signal(signal.SIGINT)
            ctypes.pythonapi.Py_AddPendingCall(self._mark, None)
            if not self._answered.wait(PATIENCE):
                self._has_said = True
                self._say(_ONCE_MORE)

        @staticmethod
        def _say(text: bytes) -> None:
            with contextlib.suppress(OSError):  # no console, or a closed one
                os.write(2, text)

    class _Blocks:
        """The blocks in which the console's events are taken.

        The system calls a handler with a lock that it takes to add and to remove one, too. So the main thread removes
        none while one runs: it would wait for a handler that waits for the main thread.
        """

        def __init__(self) -> None:
            self._attention = _Attention()
            self._guard = threading.Lock()
            self._depth = 0
            self._is_added = False
            self._is_running = False

        def enter(self) -> None:
            with self._guard:
                self._depth += 1
                is_new, self._is_added = not self._is_added, True
            if is_new:
                _kernel.SetConsoleCtrlHandler(_taken, True)

        def leave(self) -> None:
            with self._guard:
                self._depth -= 1
                self._is_added = self._depth > 0 or self._is_running
                is_last = not self._is_added
            if is_last:
                _kernel.SetConsoleCtrlHandler(_taken, False)

        def take(self, event: int) -> bool:
            """Turn an event into SIGINT, which alone wakes a main thread that sleeps. In a thread of the system."""
            with self._guard:
                if self._depth == 0 or event not in _PRESSED | _LAST:
                    return False
                self._is_running = True
            if event in _LAST:
                signal.raise_signal(signal.SIGINT)
                threading.Event().wait()  # the system ends the process when this returns, or after some 5 s
            self._attention.press()
            self._is_running = False
            return True

    _blocks = _Blocks()
    _taken = _kind(_blocks.take)

    @contextlib.contextmanager
    def console_ends_in_order() -> Iterator[None]:
        """Have each way of the console to end the program raise SIGINT while the block lasts."""
        _blocks.enter()
        try:
            yield
        finally:
            _blocks.leave()

else:

    @contextlib.contextmanager
    def console_ends_in_order() -> Iterator[None]:
        """Do nothing: other systems have signals for it."""
        yield


__all__ = ["console_ends_in_order"]

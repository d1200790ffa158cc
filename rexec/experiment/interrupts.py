"""Turns Ctrl-C, SIGTERM and SIGHUP into the end of a run: the first in order, the second at once."""

import _thread
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from rexec.experiment.forks import default_signals_in_children
from rexec.experiment.stand_ins import Termination
from rexec.ground.signals import ending_signals, handlers_set

logger = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds for an experiment that calls `check_pause` or `pause` to end by itself."""

_WRITING: Final = (
    "interrupted while the results are written; once more to give them up to `rexec results recover`"
)
_MOST: Final = 2
"""KeyboardInterrupts that a program may survive."""
_AGAIN: Final = 0.05
"""Seconds until a KeyboardInterrupt that was dropped is raised again."""
_HELD: Final = 1.0
"""Seconds without a signal after which the next one is not that of a key held down."""


def _interrupt_main() -> None:
    """Send SIGINT to the main thread itself, so that what it waits in is interrupted."""
    if hasattr(signal, "pthread_kill"):
        main: Any = threading.main_thread().ident
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class Interrupts:
    """Turns signals into the end of a run.

    The first signal asks the experiment to end. One that has looked at `pause`, `check_pause` or
    `check_termination` before gets `PATIENCE` seconds to look again; any other gets a KeyboardInterrupt where
    it is. The next signal is a KeyboardInterrupt in any case, except SIGHUP: a lost terminal often sends it twice.
    While results are made or written (`shielded`) the first signal is only noted. A program that goes on after two
    KeyboardInterrupts (`except:` in a loop) is ended by a third one.

    Args:
        termination: Told of the first signal.

    """

    def __init__(self, termination: Termination) -> None:
        self._termination = termination
        self._shielded = False
        self._noted = 0
        self._said = _WRITING
        self._alarm: threading.Timer | None = None
        self._raised = 0
        self._raised_last = 0.0
        self._is_dropped = False
        self.received = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals that end a program meanwhile; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        children: dict[int, Any] = dict.fromkeys(ending_signals(), signal.SIG_DFL)
        children[signal.SIGINT] = signal.default_int_handler
        with handlers_set(dict.fromkeys(children, self._handle)):
            try:
                with default_signals_in_children(children), self._dropped_repeated():
                    yield
            finally:
                self._cancel_alarm()

    @contextmanager
    def _dropped_repeated(self) -> Iterator[None]:
        """Raise a KeyboardInterrupt once more that came in a finalizer or a callback, where Python drops it."""
        before = sys.unraisablehook

        def hook(dropped: "sys.UnraisableHookArgs", /) -> None:
            is_ours = threading.current_thread() is threading.main_thread()
            if not (is_ours and issubclass(dropped.exc_type, KeyboardInterrupt)):
                before(dropped)
                return
            self._is_dropped = True
            # `threading` has locks of its own, which the code that a finalizer interrupts may hold.
            _thread.start_new_thread(self._repeat, ())

        sys.unraisablehook = hook
        try:
            yield
        finally:
            sys.unraisablehook = before

    @contextmanager
    def shielded(self, said: str = _WRITING) -> Iterator[None]:
        """Let only a second signal interrupt the block.

        Args:
            said: The warning that the first one logs.

        """
        self._cancel_alarm()
        before = self._shielded, self._said
        self._shielded, self._said, self._noted = True, said, 0
        try:
            yield
        finally:
            self._shielded, self._said = before

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Let signals interrupt the block, inside one that is shielded; what was noted before interrupts it at once."""
        before = self._shielded
        try:
            self._shielded = False
            if self.received:
                raise KeyboardInterrupt
            yield
        finally:
            self._cancel_alarm()
            self._shielded, self._noted = before, 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_dropped:
            self._cancel_alarm()
            raise KeyboardInterrupt
        if self.received and number == getattr(signal, "SIGHUP", None):
            return
        first, self.received = not self.received, True
        self._termination.request()
        if self._shielded:
            self._noted += 1
            if self._noted == 1:
                logger.warning("%s", self._said)
                return
        elif first and self._termination.watched:
            logger.warning("asked to end: waiting up to %g s for the next pause(); again to force", PATIENCE)
            self._alarm = threading.Timer(PATIENCE, _interrupt_main)
            self._alarm.start()
            return
        self._cancel_alarm()
        now = time.monotonic()
        if self._raised >= _MOST and now - self._raised_last >= _HELD:
            logger.error("ended without its clean-up: `rexec results recover` writes the file of its results")
            os._exit(130)
        self._raised_last = now
        if self._raised < _MOST:
            self._raised += 1
            if self._raised == _MOST:
                logger.warning("interrupted again; once more ends the program without its clean-up")
        raise KeyboardInterrupt

    def _repeat(self) -> None:
        time.sleep(_AGAIN)
        if self._is_dropped:
            _interrupt_main()

    def _cancel_alarm(self) -> None:
        self._is_dropped = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

"""Keeps a forked child of an experiment from continuing or ending the run of its parent.

Multiprocessing's default on Linux forks, and `os.fork` returns in the middle of `run()`. The
journal, file, datasets and connections in the child belong to the parent.
"""

import functools
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rexec.ground import forks

_log = logging.getLogger(__name__)

_AGAIN: Final = 0.05
"""Seconds until a Ctrl-C that came during a fork is repeated."""

_default_in_child: Final[dict[int, Any]] = {}
"""Signal handlers of a child, instead of the run's."""

_held: Final = threading.local()
"""The signal mask of a thread that forks."""


class RunProcess:
    """The process of a run: the one that makes this object."""

    def __init__(self) -> None:
        self._generation: Final = forks.generation

    def leave_if_forked(self, error: BaseException | None) -> None:
        """End this process, without the parent's clean-up, if it is a forked child; else return.

        Args:
            error: What ended the child's part of the experiment; None where it simply returned.

        """
        if forks.generation == self._generation:
            return
        status = _status(error)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                status = status or 1
        os._exit(status)


@contextmanager
def default_signals_in_children(numbers: dict[int, Any]) -> Iterator[None]:
    """Give forked children these signal handlers in the block, so that a signal to a child does not end the run.

    Args:
        numbers: Handlers by signal.

    """
    _register()
    before = dict(_default_in_child)
    _default_in_child.update(numbers)
    try:
        yield
    finally:
        _default_in_child.clear()
        _default_in_child.update(before)


def _status(error: BaseException | None) -> int:
    """Return the exit status of a child, and log what ended it."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0) & 0xFF
        _log.error("a forked child of the experiment ended: %s", error.code)
        return 1
    _log.error("a forked child of the experiment ended: %s: %s", type(error).__name__, error)
    return 1


if sys.platform == "win32":  # where nothing forks

    def _register() -> None: ...

else:

    def _before_fork() -> None:
        """Hold signals back until the child has its own handlers, because the parent's would lose them."""
        _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _default_in_child.keys())

    def _in_parent() -> None:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)
        except KeyboardInterrupt:
            # Python drops exceptions raised here. Repeat the signal: a run never ignores a second one.
            timer = threading.Timer(
                _AGAIN, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
            )
            timer.daemon = True
            timer.start()

    def _in_child() -> None:
        for number, handler in _default_in_child.items():
            signal.signal(number, handler)  # whichever thread forked is the child's main thread
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)
        except KeyboardInterrupt:
            os._exit(1)  # the status of an uncaught Ctrl-C, because no exception can be raised here

    @functools.cache
    def _register() -> None:
        """Block signals during forks. Registered late, so that it covers the hooks registered before."""
        # Its hooks hold a lock. Another thread that imports it during a fork would have the lock released, never taken.
        importlib.import_module("concurrent.futures.thread")
        os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)

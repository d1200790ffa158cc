"""A child process and all that it starts: apart from our terminal, and ended as one.

* On POSIX the child leads a session; its process group is signalled.
* Windows has no such groups. The child leads a console's group, so that Ctrl-C is not for it, and a *job object*, to
  which all that it starts belongs, also after the child's own end. It starts suspended, so that nothing escapes.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

__all__ = ["HAS_GUARD", "ProcessTree"]

HAS_GUARD: Final = sys.platform == "win32"
"""Whether the system itself can end a tree when this process dies (`ends_with_us`)."""

_RAISING: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""Signals that end a program, mostly by an exception."""

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    from ctypes import wintypes

    from devicedb.job_object import KILL_ON_JOB_CLOSE, JobObject

    _CREATE_SUSPENDED: Final = 0x4
    _resume = ctypes.WinDLL("ntdll").NtResumeProcess
    _resume.argtypes = (wintypes.HANDLE,)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let the handlers of signals run at the end of the block, also of one that raises.

    An exception of a handler inside `Popen`, before that has the child's pid, would leave the child running for ever.
    """
    with contextlib.ExitStack() as later, contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in _RAISING:
                handler = signal.getsignal(number)
                if callable(handler):  # what is ignored, or ends us at once, stays so: the child inherits it
                    stack.callback(signal.signal, number, handler)
                    signal.signal(number, lambda number, _: later.callback(signal.raise_signal, number))
        yield


class ProcessTree(subprocess.Popen[bytes]):
    """A process with what it starts.

    Args:
        words: The command.
        ends_with_us: Have the system end the tree when this process ends, however that happens. Only where `HAS_GUARD`.
        keywords: Further ones of `subprocess.Popen`.

    """

    def __init__(self, words: Sequence[str], *, ends_with_us: bool = False, **keywords: Any) -> None:
        try:
            if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
                self._job = JobObject(KILL_ON_JOB_CLOSE if ends_with_us else 0)
                flags = subprocess.CREATE_NEW_PROCESS_GROUP | _CREATE_SUSPENDED
                with _signals_held():
                    super().__init__(words, creationflags=flags, **keywords)
                    self._begin()
            else:
                with _signals_held():
                    super().__init__(words, start_new_session=True, **keywords)
        except BaseException as error:
            # POSIX has a pid, too, for a program that cannot be executed, which `Popen` has reaped.
            is_reaped = sys.platform != "win32" and isinstance(error, OSError)
            if not is_reaped and getattr(self, "pid", None) is not None:
                self.kill()  # it runs, and the caller gets no object
                self.kill_all()
                self.__exit__(None, None, None)
            raise

    if sys.platform == "win32":  # pragma: no cover - exercised on Windows only

        def _begin(self) -> None:
            process = int(self._handle)  # type: ignore[attr-defined, unused-ignore]
            self._job.take(process)
            if (status := _resume(process)) < 0:
                raise OSError(errno.EIO, f"it cannot be resumed (NTSTATUS {status & 0xFFFFFFFF:#x})")

    def kill_all(self) -> None:
        """Kill the process and what it has started; those that left its session or job live on."""
        if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
            self._job.kill()
        else:
            self._signal(signal.SIGKILL)

    def ask_all(self) -> None:
        """Ask them to end: SIGTERM; on Windows Ctrl-Break, or a kill where they share no console with us."""
        if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
            try:
                os.kill(self.pid, signal.CTRL_BREAK_EVENT)
            except OSError:
                self._job.kill()
        else:
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        # The group is gone, or has only zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)  # type: ignore[attr-defined, unused-ignore]

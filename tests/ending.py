"""Asks programs to end as a person at their terminal does: with Ctrl-C, or on Windows with Ctrl-Break."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

KILLED: Final = 9 if sys.platform == "win32" else -9
"""Status of a program that has called `os.kill(os.getpid(), 9)`."""

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    ORDERLY: Final[Sequence[int]] = (signal.SIGBREAK,)
    """Signals that end a program in order."""

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.GetModuleHandleW.restype = wintypes.HMODULE
    _kernel.GetProcAddress.restype = ctypes.c_void_p
    _kernel.GetProcAddress.argtypes = (wintypes.HMODULE, ctypes.c_char_p)
    _kernel.CreateRemoteThread.restype = wintypes.HANDLE
    _kernel.CreateRemoteThread.argtypes = (
        *(wintypes.HANDLE, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
        *(ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p),
    )

    def interrupt(process: "subprocess.Popen[Any]", number: int = signal.SIGBREAK) -> None:
        """Have a program get Ctrl-Break, also where it has no console or shares ours.

        What the console does for each of its programs: a new thread in it that runs `CtrlRoutine`.
        """
        routine = _kernel.GetProcAddress(_kernel.GetModuleHandleW("kernelbase"), b"CtrlRoutine")
        if routine is None:
            os.kill(process.pid, signal.CTRL_BREAK_EVENT)
            return
        handle = int(process._handle)
        thread = _kernel.CreateRemoteThread(handle, None, 0, routine, signal.CTRL_BREAK_EVENT, 0, None)
        if not thread:
            raise ctypes.WinError(ctypes.get_last_error())
        _kernel.CloseHandle(wintypes.HANDLE(thread))

else:
    ORDERLY: Final[Sequence[int]] = (signal.SIGINT, signal.SIGTERM)
    """Signals that end a program in order."""

    def interrupt(process: "subprocess.Popen[Any]", number: int = signal.SIGINT) -> None:
        """Have a program get Ctrl-C, or another signal."""
        process.send_signal(number)

"""What the exit status of a process tells of its end: a signal of POSIX, or the exception that ended it on Windows."""

import signal
import sys
from typing import Final

_LEAST_EXCEPTION: Final = 0xC0000000
"""Windows: smallest status of a process that an exception of the system has ended."""

_EXCEPTIONS: Final = {
    0xC0000005: "access violation",
    0xC000001D: "illegal instruction",
    0xC0000094: "division by zero",
    0xC00000FD: "stack overflow",
    0xC0000135: "a DLL is missing",
    0xC000013A: "Ctrl-C",
    0xC0000374: "damaged heap",
    0xC0000409: "abort",
}


def was_killed(status: int) -> bool:
    """Return whether a signal or an exception of the system has ended a process.

    Args:
        status: `subprocess.Popen.returncode`.

    """
    return status < 0 or (sys.platform == "win32" and status >= _LEAST_EXCEPTION)


def killer(status: int) -> str:
    """Return what has killed a process: "SIGSEGV", "signal 42", "access violation", or "exception 0xC0000006".

    Args:
        status: `subprocess.Popen.returncode` of a process that was killed.

    """
    if status >= 0:
        return _EXCEPTIONS.get(status, f"exception 0x{status:08X}")
    try:
        return signal.Signals(-status).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-status}"

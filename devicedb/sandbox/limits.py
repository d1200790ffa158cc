"""Limits that the child process sets itself, so that a runaway device database harms nothing else."""

import math
import os
import signal
import sys
from typing import Any, Final

from devicedb.memory_limit import limit_memory

MAX_PROCESSES: Final = 20
"""Processes that a device database may start (some call git or hostname)."""

MAX_MEMORY: Final = 4 * 1024**3
MAX_FILE: Final = 1024**3

WALL: Final = 10
"""The longest time for which a file may run, in limits of its CPU time."""

TOO_MANY: Final = 97
"""Exit status of a child that started too many processes."""

OUT_OF_TIME: Final = -int(getattr(signal, "SIGXCPU", 0)) or None  # Windows has none
"""Return code of a child that the system ended at its limit of CPU time."""

_STARTS: Final = frozenset(
    {"os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "os.startfile"}
)


class ProcessCount:
    """Counts started processes, and ends this one at MAX_PROCESSES."""

    def __init__(self) -> None:
        self.started = 0
        self.owner = os.getpid()

    def hook(self, event: str, arguments: Any) -> None:
        """Audit hook: sees each start of a process before it happens."""
        if event not in _STARTS:
            return
        self.started += 1
        if os.getpid() != self.owner or self.started > MAX_PROCESSES:
            os._exit(TOO_MANY)  # a child that forks again is a fork bomb


def set_limits(seconds: float) -> ProcessCount:
    """Limit memory, the size of files, and processor time of this process and of what it starts.

    Windows has no limits of files and of processor time: the parent's limits of time hold there.
    """
    whole = math.ceil(seconds)
    limit_memory(MAX_MEMORY)
    if sys.platform != "win32":
        import resource

        for name, value in (
            (resource.RLIMIT_CPU, whole + 2),
            (resource.RLIMIT_FSIZE, MAX_FILE),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(name)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (value, hard))
        signal.alarm(WALL * whole + 2)  # a parent that was killed ends nothing
    else:
        import msvcrt

        # A crash ends the process, and opens no window that somebody would have to close.
        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)
    limits = ProcessCount()
    sys.addaudithook(limits.hook)
    return limits

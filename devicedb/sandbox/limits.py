"""Limits that the child process sets itself, so that an accident in a device database stays in it."""

import os
import sys
from typing import Any, Final

MAX_PROCESSES: Final = 20
"""How many processes a device database may start: some ask git or hostname something."""

MAX_MEMORY: Final = 4 * 1024**3
MAX_FILE: Final = 1024**3

TOO_MANY: Final = 97
"""Exit status of a child that started too many processes."""

_STARTS: Final = frozenset(
    {"os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "os.startfile"}
)


class Limits:
    """Counts the processes that are started, and ends this one when there are too many."""

    def __init__(self) -> None:
        self.started = 0
        self.owner = os.getpid()

    def hook(self, event: str, arguments: Any) -> None:
        """Audit hook: sees each start of a process before it happens."""
        if event not in _STARTS:
            return
        self.started += 1
        if os.getpid() != self.owner or self.started > MAX_PROCESSES:
            os._exit(TOO_MANY)  # a copy of a copy is how a bomb begins


def set_limits(seconds: float) -> Limits:
    """Limit memory, the size of files, and processor time of this process and of what it starts.

    Where the system has no resource limits (Windows) only the count of processes holds, and the parent's clock.
    """
    if sys.platform != "win32":
        import resource

        for name, value in (
            (resource.RLIMIT_CPU, int(seconds) + 2),
            (resource.RLIMIT_AS, MAX_MEMORY),
            (resource.RLIMIT_FSIZE, MAX_FILE),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(name)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (value, hard))
    limits = Limits()
    sys.addaudithook(limits.hook)
    return limits

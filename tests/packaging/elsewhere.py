"""Imports every module of the project in a process in which what only POSIX has is taken away. Prints their number.

What other packages need was imported before, so that only our own modules meet a system without it.
"""

import ctypes
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
import types
from typing import Any, Final
from unittest.mock import MagicMock

OURS: Final = ("schemas", "devicedb", "rexec")
MODULES: Final = frozenset(
    "fcntl grp posix pty pwd readline resource syslog termios tty uvloop _posixsubprocess".split()
)
NAMES: Final[dict[Any, str]] = {
    os: "fork forkpty getuid geteuid getgid getegid getpgid killpg setsid setpgid nice wait3 wait4 statvfs uname "
    "sched_getaffinity copy_file_range sendfile posix_fallocate posix_fadvise fchmod fchown mkfifo WNOHANG getloadavg "
    "O_CLOEXEC O_NONBLOCK O_DIRECTORY O_SYNC O_DSYNC register_at_fork",
    signal: "SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGALRM SIGPIPE SIGQUIT SIGSTOP SIGCONT alarm setitimer "
    "pthread_sigmask pthread_kill pause sigwait",
    socket: "AF_UNIX SO_REUSEPORT TCP_INFO TCP_USER_TIMEOUT socketpair_posix SCM_RIGHTS sethostname",
    select: "epoll poll EPOLLIN POLLIN",
}


def names() -> list[str]:
    """Return the names of all modules, except programs that run when they are imported."""
    return [
        module.name
        for package in OURS
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        if not module.name.endswith("__main__")
    ]


def main() -> None:
    """Import everything twice: with, then without what only POSIX has."""
    every = names()
    for name in every:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    for module, words in NAMES.items():
        for word in words.split():
            if hasattr(module, word):
                delattr(module, word)
    for name in MODULES:
        # However it is asked for, by whichever package: ModuleNotFoundError. What others need of it they have already.
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")
    for name in ("WinDLL", "WINFUNCTYPE"):
        setattr(ctypes, name, MagicMock())
    sys.platform = "win32"
    for name in every:
        importlib.import_module(name)
    print(len(every))


if __name__ == "__main__":
    main()

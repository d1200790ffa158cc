"""Who uses a TCP port of this machine, as far as the system tells."""

import contextlib
from collections.abc import Iterator

import psutil


def owner(port: int) -> str | None:
    """Return "pid N (program)" of the process that listens on a port; None if the system does not tell."""
    with contextlib.suppress(psutil.AccessDenied):
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return f"pid {each.pid} ({_program(each.pid)})"
    return None


def clients(pid: int, port: int) -> int:
    """Return how many connections a process and its children have from clients at a port."""
    count = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            count += sum(
                each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
                for each in process.net_connections(kind="tcp")
            )
    return count


def memory(pid: int) -> int:
    """Return the resident memory of a process and its children, in bytes."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _family(pid: int) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _program(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline()[:4]) or "?"
    except psutil.Error:
        return "?"

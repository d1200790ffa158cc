"""Waits for a child as long as it computes: its limit is CPU time, so that a busy machine fails nothing."""

import subprocess
import time
from typing import Final

from devicedb.sandbox.limits import WALL

IDLE: Final = 0.02
"""A child that used less than this share of a processor during one time limit waits for something: it hangs."""

_POLL: Final = 0.2
"""Seconds between two looks at the CPU time, which begin after the first time limit.

No wait is longer: on Windows, Ctrl-C is noticed between two.
"""


def communicate(child: "subprocess.Popen[bytes]", data: bytes, seconds: float) -> tuple[bytes, bytes]:
    """Return what a child says to a text, as `Popen.communicate`.

    Args:
        child: The child; what it has started counts, too.
        data: Its standard input.
        seconds: Limit of its CPU time; and of the time for which it may wait without computing.

    Raises:
        subprocess.TimeoutExpired: A limit is exceeded. The child still runs.

    """
    began = since = time.monotonic()
    used = 0.0
    left: bytes | None = data
    while True:
        first = seconds - (time.monotonic() - began)
        try:
            return child.communicate(left, timeout=min(_POLL, first) if first > 0 else _POLL)
        except subprocess.TimeoutExpired:
            left = None  # it is on its way
        now = time.monotonic()
        if now - began < seconds:
            continue
        cpu = cpu_seconds(child.pid)
        is_idle = now - since >= seconds and cpu - used < IDLE * (now - since)
        if is_idle or cpu >= seconds or now - began >= WALL * seconds:
            raise subprocess.TimeoutExpired(child.args, seconds)
        if now - since >= seconds:
            since, used = now, cpu


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of what it has started, in seconds; 0 if it has ended."""
    import psutil  # only for a child that takes longer than most

    total = 0.0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            times = each.cpu_times()
            total += times.user + times.system
        ended = process.cpu_times()
        total += getattr(ended, "children_user", 0.0) + getattr(ended, "children_system", 0.0)
    except psutil.Error:  # it ended meanwhile
        pass
    return total

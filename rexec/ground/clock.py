"""The wall clock, and local time. On Windows before Python 3.13 `time.time` moves in steps of 15.6 ms."""

import sys
import time
from datetime import datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)

if sys.platform == "win32" and sys.version_info < (3, 13):  # pragma: no cover - exercised on Windows only
    import ctypes

    def wall_clock() -> float:
        """Return the seconds since 1970, with a resolution of 0.1 µs."""
        ticks = ctypes.c_uint64()  # of 100 ns, since 1601
        ctypes.windll.kernel32.GetSystemTimePreciseAsFileTime(ctypes.byref(ticks))
        return (ticks.value - 116444736000000000) / 1e7

else:

    def wall_clock() -> float:
        """Return the seconds since 1970."""
        return time.time()


def local_time(seconds: float) -> datetime:
    """Return the local time of so many seconds since 1970, before 1970 and after 3000 on Windows, too.

    Its calendar refuses those years; they get the time zone without daylight saving time.

    Raises:
        ValueError: It is NaN, or no calendar has that year.
        OverflowError: No calendar has that year.

    """
    try:
        return datetime.fromtimestamp(seconds)
    except OSError:
        return _EPOCH + timedelta(seconds=seconds - time.timezone)


def seconds_of(local: datetime) -> float:
    """Return the seconds since 1970 of a local time; the inverse of `local_time`."""
    try:
        return local.timestamp()
    except OSError:
        return (local - _EPOCH).total_seconds() + time.timezone

"""The wall clock. On Windows before Python 3.13 `time.time` moves in steps of 15.6 ms."""

import sys
import time

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

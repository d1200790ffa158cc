"""Job objects of Windows: processes that the system ends as one, and limits together."""

import sys
from typing import Final

KILL_ON_JOB_CLOSE: Final = 0x2000
"""The processes end when the last handle is closed, however the program that has it ends."""

JOB_MEMORY: Final = 0x200
"""The memory that the processes commit together has a limit."""

THIS_PROCESS: Final = -1
"""A handle of this process, in it (GetCurrentProcess)."""

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMITS: Final = 9

    class _ExtendedLimits(ctypes.Structure):
        """The structure JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("process_time", ctypes.c_int64),
            ("job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("least_working_set", ctypes.c_size_t),
            ("most_working_set", ctypes.c_size_t),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
            ("counters", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peaks", ctypes.c_size_t * 2),
        )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateJobObjectW.restype = wintypes.HANDLE
    for _name, _types in {
        "SetInformationJobObject": (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD),
        "AssignProcessToJobObject": (wintypes.HANDLE, wintypes.HANDLE),
        "TerminateJobObject": (wintypes.HANDLE, wintypes.UINT),
        "CloseHandle": (wintypes.HANDLE,),
    }.items():
        getattr(_kernel, _name).argtypes = _types

    def _done(result: int | None) -> None:
        """Raise an OSError where a function of Windows says that it has failed."""
        if not result:
            raise ctypes.WinError(ctypes.get_last_error())

    class JobObject:
        """A job object; it lasts as long as a process of it, also after this object.

        Args:
            flags: KILL_ON_JOB_CLOSE, JOB_MEMORY, or 0.
            memory: The limit for JOB_MEMORY, in bytes.

        Raises:
            OSError: Windows refuses the job, or (`take`) a process in it.

        """

        def __init__(self, flags: int, *, memory: int = 0) -> None:
            self._handle = _kernel.CreateJobObjectW(None, None)
            _done(self._handle)
            limits = _ExtendedLimits(flags=flags, job_memory=memory)
            size = ctypes.sizeof(limits)
            _done(_kernel.SetInformationJobObject(self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), size))

        def take(self, process: int) -> None:
            """Take a process in, by its handle."""
            _done(_kernel.AssignProcessToJobObject(self._handle, process))

        def kill(self) -> None:
            """End all of its processes."""
            _kernel.TerminateJobObject(self._handle, 1)

        def __del__(self) -> None:
            _kernel.CloseHandle(self._handle)

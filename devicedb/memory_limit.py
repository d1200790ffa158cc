"""A limit of memory for this process and what it starts."""

import sys


def limit_memory(size: int) -> None:
    """Have the system refuse memory beyond a size to this process and what it starts: a MemoryError. None on macOS.

    Args:
        size: Bytes: of address space for each process, on Windows of committed memory for all together.

    """
    if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
        from devicedb.job_object import JOB_MEMORY, THIS_PROCESS, JobObject

        JobObject(JOB_MEMORY, memory=size).take(THIS_PROCESS)  # a job lasts as long as a process of it
    elif sys.platform != "darwin":  # EINVAL there: the system itself maps more into each process
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))

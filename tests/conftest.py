"""What every test counts on, however the suite was started."""

import logging
import os
import signal
import sys
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.serving import ports_released

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows

# Time is never asserted: a busy machine may take long over an example. A change is not to blame for what other examples
# find: those of `suite` are the same at each run, and `--hypothesis-profile search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("search"), derandomize=True)
settings.load_profile("suite")


def pytest_configure() -> None:
    """Let modules be compiled once, NumPy have one thread, and signals end processes.

    Without bytecode on the disk, each process that a test starts compiles all modules again: most of its CPU time. The
    threads of OpenBLAS, which no test needs, double the CPU time of `import numpy`. A shell ignores signals for what it
    starts in its background, and so does `nohup`.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (HANGUP, signal.SIG_DFL)):
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Give back the ports of each test, since a process has only so many descriptors, and the level of the log.

    A command that a test runs in this process sets the level of all loggers.
    """
    root = logging.getLogger()
    level = root.level
    try:
        with ports_released():
            return (yield)
    finally:
        root.setLevel(level)

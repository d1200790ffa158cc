"""Controllers with remote execution for tests: ours in this process, the reference library's in its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from rexec.remote_exec import close_global_clients, rexec_targets
from tests.serving import free_port, serving
from tests.waiting import wait_for

REFERENCE: Final = [
    python for python in os.environ.get("REXEC_PEER_PYTHON", "").split(os.pathsep) if os.path.exists(python)
]
"""Interpreters that have the reference library, from the environment variable REXEC_PEER_PYTHON."""

NO_REFERENCE: Final = "REXEC_PEER_PYTHON names no interpreter that has the reference library"

_reference_makes: list[Any] = [f"reference-{number}" for number, _ in enumerate(REFERENCE)]
MAKES: Final = [
    "ours",
    *(_reference_makes or [pytest.param("reference-0", marks=pytest.mark.skip(reason=NO_REFERENCE))]),
]
"""What a test is parametrised on to run against every make of controller."""

REFERENCE_CONTROLLER: Final = """
import sys
from sipyco.remote_exec import simple_rexec_server_loop
class Driver:
    def __init__(self): self.calls = 0
    def measure(self): self.calls += 1; return self.calls
    def ping(self): return True
simple_rexec_server_loop("camera", Driver(), "127.0.0.1", int(sys.argv[1]), "a controller")
"""


class Driver:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def measure(self) -> int:
        self.calls += 1
        return self.calls

    def ping(self) -> bool:
        return True


@contextlib.contextmanager
def controller(make: str) -> Iterator[int]:
    """Run a controller with the targets `camera` and `camera_rexec`; yields its port."""
    if make == "ours":
        targets = rexec_targets("camera", Driver())
        with serving(targets) as port:
            try:
                yield port
            finally:
                close_global_clients(targets["camera_rexec"])
        return
    with controller_apart(make) as port:
        yield port


@contextlib.contextmanager
def controller_apart(make: str) -> Iterator[int]:
    """Run a controller as `controller` does, in a process of its own also where it is ours."""
    if make == "ours":
        python, program = sys.executable, REFERENCE_CONTROLLER.replace("sipyco.", "rexec.")
    else:
        python, program = REFERENCE[int(make.partition("-")[2])], REFERENCE_CONTROLLER
    with reference_process(python, program) as port:
        yield port


@contextlib.contextmanager
def reference_process(python: str, program: str, port: int = 0) -> Iterator[int]:
    """Run a server program of the reference library, which is told its port, until the context ends."""
    port = port or free_port()
    process = subprocess.Popen([python, "-c", program, str(port)])
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(150)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(150)

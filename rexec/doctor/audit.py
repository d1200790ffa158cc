"""Audits many devices at once, in bounded time."""

import importlib.util
import math
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from devicedb import DeviceDatabase
from devicedb.opening import why_not_opened
from devicedb.whole_file import read_whole
from rexec.devices import DeviceError
from rexec.devices.peers import Connections
from rexec.doctor.diagnose import Audit, Check, diagnose
from rexec.doctor.diagnosis import Cause, Diagnosis
from rexec.doctor.here import annotated

MOST: Final = 128
"""Devices examined at the same time; each takes a thread and a few sockets."""


class CheckFileError(DeviceError):
    """A file of checks cannot be loaded, or has none."""


def run(audit: Audit, names: Iterable[str]) -> list[Diagnosis]:
    """Return a diagnosis of each device, in the order of `names`.

    Args:
        audit: Device database, time limit and checks. `MOST` devices are examined at the same time; the audit ends a
            tenth after its time limit, even if devices are unfinished.
        names: The devices; empty: all of the database.

    """
    wanted = list(dict.fromkeys(names)) or remote_devices(audit.database)
    found: dict[str, Diagnosis] = {}
    steps: dict[str, str] = {}
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in wanted:
        waiting.put(name)
    began = time.monotonic()

    def work() -> None:
        # The first device's time begins with the audit, not with its thread.
        deadline = began + audit.timeout
        while True:
            try:
                name = waiting.get_nowait()
            except Empty:
                return
            found[name] = diagnose(audit, name, partial(steps.__setitem__, name), deadline)
            deadline = time.monotonic() + audit.timeout

    # Daemon threads, because a name look-up cannot be interrupted and must not keep the program alive.
    threads = [threading.Thread(target=work, daemon=True) for _ in wanted[:MOST]]
    rounds = math.ceil(len(wanted) / MOST)
    deadline = began + (rounds + 0.1) * audit.timeout
    for thread in threads:
        thread.start()
    _join(threads, began + 0.5 * audit.timeout)
    # Listing connections takes a while; do it while slow devices are still examined.
    seen = Connections() if len(found) < len(wanted) else None
    _join(threads, deadline)
    findings = [found.get(name) or _late(name, steps.get(name)) for name in wanted]
    return annotated(findings, audit.database, seen)


def _join(threads: list[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _late(name: str, step: str | None) -> Diagnosis:
    """Return the diagnosis of a device whose examination did not finish in time."""
    if step is None:
        why = "this machine is too busy, or too many other devices hang"
        return Diagnosis(name, "silent", f"not examined in time: {why}")
    cause: Cause = "check" if step.startswith("check_") else "silent"
    return Diagnosis(name, cause, f"not finished in time: {step} hangs, or this machine is too busy")


def remote_devices(database: DeviceDatabase) -> list[str]:
    """Return the names of controllers and auxiliary targets."""
    kinds = ("controller", "controller_aux_target")
    return [name for name, raw in database.raw.items() if isinstance(raw, dict) and raw.get("type") in kinds]


def load_checks(path: Path) -> dict[str, Check]:
    """Return the functions `check_…(endpoint, client)` of a file by name; a check raises on a problem.

    Raises:
        CheckFileError: The file cannot be imported, or has no such function.

    """
    spec = importlib.util.spec_from_file_location("rexec_doctor_checks", path)
    if spec is None or spec.loader is None:
        raise CheckFileError(f"{path}: a file of checks must be a Python file named *.py")
    module = importlib.util.module_from_spec(spec)
    try:
        read_whole(path)
    except FileNotFoundError as error:
        raise CheckFileError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckFileError(f"{path} cannot be read: {why_not_opened(error)}") from error
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CheckFileError(f"{path}: importing it raised {type(error).__name__}: {error}") from error
    found = {
        name: each for name, each in vars(module).items() if name.startswith("check_") and callable(each)
    }
    if not found:
        raise CheckFileError(f"{path}: no function check_...(endpoint, client)")
    return found

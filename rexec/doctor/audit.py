"""Audits many devices at the same time, in a bounded one."""

import importlib.util
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from devicedb import DeviceDatabase
from rexec.devices import DeviceError
from rexec.doctor.diagnose import Check, diagnose
from rexec.doctor.finding import Finding


class CheckFileError(DeviceError):
    """A file of own checks cannot be loaded, or has none."""


def audit(
    database: DeviceDatabase, names: Iterable[str], timeout: float, checks: Mapping[str, Check] | None = None
) -> list[Finding]:
    """Return a finding for each device, in the order of `names` (none: all of the database).

    Args:
        database: The device database.
        names: The devices.
        timeout: Seconds for each; all are audited at once, and after a tenth more those that are not done are
            given up.
        checks: The laboratory's own.

    """
    wanted = list(dict.fromkeys(names)) or remote_devices(database)
    found: dict[str, Finding] = {}

    def one(name: str) -> None:
        found[name] = diagnose(database, name, timeout, checks)

    # Daemons: resolving a name cannot be interrupted, and must not keep the program from ending.
    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in wanted]
    deadline = time.monotonic() + 1.1 * timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = "no step of the audit failed, but they did not end in time: resolving the host, or a driver, hangs"
    return [found.get(name) or Finding(name, "silent", late) for name in wanted]


def remote_devices(database: DeviceDatabase) -> list[str]:
    """Return the entries that are controllers or targets of one."""
    kinds = ("controller", "controller_aux_target")
    return [name for name, raw in database.raw.items() if isinstance(raw, dict) and raw.get("type") in kinds]


def load_checks(path: Path) -> dict[str, Check]:
    """Return the functions `check_…(endpoint, client)` of a file, by name; each raises if something is wrong.

    Raises:
        CheckFileError: The file cannot be imported, or has no such function.

    """
    spec = importlib.util.spec_from_file_location("rexec_doctor_checks", path)
    if spec is None or spec.loader is None:
        raise CheckFileError(f"{path}: a file of checks is a Python file, named *.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CheckFileError(f"{path}: importing it raised {type(error).__name__}: {error}") from error
    found = {
        name: each for name, each in vars(module).items() if name.startswith("check_") and callable(each)
    }
    if not found:
        raise CheckFileError(f"{path}: has no function check_...(endpoint, client)")
    return found

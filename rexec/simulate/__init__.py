"""A laboratory without its hardware: simulated controllers, and stand-ins for the core's devices.

Tests use `laboratory`; `rexec simulate` and `rexec run --simulate` use the same. Public names are imported on first
use, because every `rexec` command imports the errors and few simulate.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from rexec.record.errors import RecordingError
from rexec.simulate.errors import BehaviourError, FaultError, NotRecorded, SimulationError

if TYPE_CHECKING:
    from rexec.record.recording import Recording, load_recording
    from rexec.simulate._laboratory import Laboratory, laboratory
    from rexec.simulate.behaviours import Behaviours, load_behaviours
    from rexec.simulate.faults import Fault

_HOMES: Final = {
    "Behaviours": "rexec.simulate.behaviours",
    "Fault": "rexec.simulate.faults",
    "Laboratory": "rexec.simulate._laboratory",
    "Recording": "rexec.record.recording",
    "laboratory": "rexec.simulate._laboratory",
    "load_behaviours": "rexec.simulate.behaviours",
    "load_recording": "rexec.record.recording",
}

__all__ = [
    "BehaviourError",
    "Behaviours",
    "Fault",
    "FaultError",
    "Laboratory",
    "NotRecorded",
    "Recording",
    "RecordingError",
    "SimulationError",
    "laboratory",
    "load_behaviours",
    "load_recording",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

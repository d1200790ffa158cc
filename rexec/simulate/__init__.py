"""A laboratory without its hardware: simulated controllers, stand-ins for the core's devices, recordings of real ones.

`laboratory` is what tests use; `rexec simulate`, `rexec record` and `rexec run --simulate` use the same. Public names
are imported when they are asked for: every `rexec` command knows the errors, few simulate.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from rexec.simulate.errors import BehaviourError, FaultError, NotRecorded, RecordingError, SimulationError

if TYPE_CHECKING:
    from rexec.simulate._laboratory import Laboratory, laboratory
    from rexec.simulate.behaviours import Behaviours, load_behaviours
    from rexec.simulate.faults import Fault
    from rexec.simulate.recording import Recording, load_recording

_HOMES: Final = {
    "Behaviours": "behaviours",
    "Fault": "faults",
    "Laboratory": "_laboratory",
    "Recording": "recording",
    "laboratory": "_laboratory",
    "load_behaviours": "behaviours",
    "load_recording": "recording",
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
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

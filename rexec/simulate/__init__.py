"""A laboratory without its hardware: simulated controllers, stand-ins for the core's devices, recordings of real ones.

`laboratory` is what tests use; `rexec simulate`, `rexec record` and `rexec run --simulate` use the same.
"""

from rexec.simulate.behaviours import Behaviours, load_behaviours
from rexec.simulate.errors import BehaviourError, FaultError, NotRecorded, RecordingError, SimulationError
from rexec.simulate.faults import Fault
from rexec.simulate.laboratory import Laboratory, laboratory
from rexec.simulate.recording import Recording, load_recording

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

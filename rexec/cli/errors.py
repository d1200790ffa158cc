"""The errors that a user can act on."""

from typing import Final

from devicedb import DeviceDBError
from rexec.bridge import BridgeError
from rexec.datasets import DatasetError
from rexec.devices import DeviceError
from rexec.experiment import ExperimentError
from rexec.master import MasterError
from rexec.results import ResultsError
from rexec.simulate.errors import SimulationError
from rexec.wire.errors import WireError


class CommandError(Exception):
    """Raised when a command cannot do what its arguments ask for."""


EXPECTED_ERRORS: Final[tuple[type[Exception], ...]] = (
    BridgeError,
    CommandError,
    DatasetError,
    DeviceDBError,
    DeviceError,
    ExperimentError,
    MasterError,
    ResultsError,
    SimulationError,
    WireError,
)
"""Base classes of every error that bad input or a bad peer can cause; their text is the whole message."""

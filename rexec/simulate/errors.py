"""Why something cannot be simulated. The text is the whole message."""

from devicedb.errors import ExpectedError


class SimulationError(ExpectedError):
    """Raised when a simulation cannot start; base of the others. The text says what to do."""


class BehaviourError(SimulationError):
    """Raised when a behaviours file cannot be used, or does not fit the drivers that it stands for."""


class FaultError(SimulationError):
    """Raised when a fault names no device or method, or has a value that is not possible."""


class NotRecorded(LookupError):
    """Raised by a replayed driver for a call that the recording does not have."""

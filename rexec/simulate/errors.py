"""Why something cannot be simulated or recorded. The text is the whole message."""


class SimulationError(Exception):
    """Base of whatever keeps a simulation or a recording from starting; the text says what to do."""


class BehaviourError(SimulationError):
    """A behaviours file cannot be used, or does not fit the drivers that it stands for."""


class FaultError(SimulationError):
    """A fault names no device, no method, or makes no sense."""


class RecordingError(SimulationError):
    """A recording cannot be written, or is none."""


class NotRecorded(LookupError):
    """A replayed driver was asked for something that was never answered while it was recorded."""

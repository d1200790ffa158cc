"""What can go wrong with controllers that this program starts itself."""

from rexec.devices import DeviceError


class ControllerStartError(DeviceError):
    """A controller could not be started, ended at once, or did not answer in time.

    Args:
        name: Of the controller.
        reason: What happened, as a sentence of which the controller is the subject.

    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"controller {name!r} {reason}")
        self.reason = reason


class ControlPortError(DeviceError):
    """The control port of a supervisor cannot be had."""

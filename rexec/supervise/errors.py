"""Errors of controllers that this program starts."""

from rexec.devices import DeviceError


class ControllerStartError(DeviceError):
    """A controller could not be started, ended at once, or did not answer in time.

    Args:
        name: Name of the controller.
        reason: What happened, as a sentence without its subject, the controller.

    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"controller {name!r} {reason}")
        self.reason = reason


class ControlPortError(DeviceError):
    """The control port of a supervisor cannot be opened."""


class ExportError(DeviceError):
    """A process manager's format cannot hold a controller.

    Args:
        name: Name of the controller.
        reason: What it cannot hold.

    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"controller {name!r:.80}: {reason}. Nothing was exported")

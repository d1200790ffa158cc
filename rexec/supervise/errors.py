"""What can go wrong with controllers that this program starts itself."""

from rexec.devices import DeviceError


class ControllerStartError(DeviceError):
    """A controller could not be started, ended at once, or did not answer in time."""

"""Errors of devices. The text names the device, its address, the cause and the remedy."""

from devicedb import CommandTemplateError, Endpoint, command_line
from devicedb.command import as_typed
from devicedb.errors import ExpectedError


class DeviceError(ExpectedError):
    """Base of the errors of devices; the text is the whole message."""


class DeviceUnreachable(DeviceError):
    """The connection to a controller failed, or the controller does not answer in time.

    Args:
        text: The message.
        in_a_call: Whether a server accepted the connection, and then said nothing in time.

    """

    def __init__(self, text: str, in_a_call: bool = False) -> None:
        super().__init__(text)
        self.in_a_call = in_a_call


class DeviceTargetError(DeviceError):
    """The server does not have the target that the device database names."""


class DeviceProtocolError(DeviceError):
    """The server at the address of a controller is not a controller."""


class DeviceBusy(DeviceError):
    """A lease was not granted, because another client uses the device and one of both wants it alone."""


class LocalDeviceError(DeviceError):
    """The driver of a local device cannot be imported or constructed."""


class DeviceLoopError(DeviceError):
    """Drivers of local devices need each other in a loop."""


class MasterUnreachable(DeviceError):
    """A master does not answer, or does not have the requested database."""


def where(endpoint: Endpoint) -> str:
    """Return device, address and target of an endpoint for a message."""
    through = "" if endpoint.entry_name == endpoint.name else f" (entry {endpoint.entry_name!r})"
    target = "its only target" if endpoint.target_name is None else f"target {endpoint.target_name!r}"
    return f"device {endpoint.name!r}{through} at {endpoint.address}, {target}"


def start_advice(endpoint: Endpoint, entry: dict[str, object], ssl_dir: str | None) -> str:
    """Return how to start a controller: its command, if it has one, or `rexec up`.

    Args:
        endpoint: Endpoint of the device.
        entry: The controller's raw entry.
        ssl_dir: Value of `{ARTIQ_SSL_DIR}`.

    """
    if endpoint.command is None:
        return f"Start the controller {endpoint.controller!r} there (its entry has no command)"
    try:
        words = command_line(endpoint.controller, entry, bind=endpoint.host, ssl_dir=ssl_dir)
    except CommandTemplateError as error:
        return f"Start the controller there (its command cannot be used: {error})"
    return f"Start it with: {as_typed(words)}   (or {as_typed(['rexec', 'up', endpoint.controller])})"

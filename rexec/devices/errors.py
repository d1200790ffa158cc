"""Why a device cannot be had. The text names the device, where it is, the cause and what to do."""

import shlex

from devicedb import CommandTemplateError, Endpoint, command_line


class DeviceError(Exception):
    """Base of whatever keeps a device from an experiment; the text is the whole message."""


class DeviceUnreachable(DeviceError):
    """The controller of a device cannot be connected to, or does not answer in time."""


class DeviceTargetError(DeviceError):
    """The server that answers has not the target that the device database names."""


class DeviceProtocolError(DeviceError):
    """What answers at the address of a controller is no controller."""


class LocalDeviceError(DeviceError):
    """The driver of a local device cannot be imported or constructed."""


class DeviceLoopError(DeviceError):
    """Drivers of local devices ask for each other in a loop while they are constructed."""


class MasterUnreachable(DeviceError):
    """A device database was to come from a master that does not answer, or has none."""


def where(endpoint: Endpoint) -> str:
    """Return device, address and target of an endpoint for a message."""
    through = "" if endpoint.entry_name == endpoint.name else f" (entry {endpoint.entry_name!r})"
    target = "its only target" if endpoint.target_name is None else f"target {endpoint.target_name!r}"
    return f"device {endpoint.name!r}{through} at {endpoint.address}, {target}"


def start_advice(
    endpoint: Endpoint, entry: dict[str, object], ssl_dir: str | None, otherwise: str = "run with --up"
) -> str:
    """Return what to do so that a controller runs: the command that would start it, where there is one.

    Args:
        endpoint: Of the device.
        entry: The controller's entry as written.
        ssl_dir: What `{ARTIQ_SSL_DIR}` stands for.
        otherwise: What starts it, too.

    """
    if endpoint.command is None:
        return f"Start the controller {endpoint.controller!r} there (its entry has no command)"
    try:
        words = command_line(endpoint.controller, entry, bind=endpoint.host, ssl_dir=ssl_dir)
    except CommandTemplateError as error:
        return f"Start the controller there (its command cannot be used: {error})"
    return f"Start it with: {shlex.join(words)}   (or {otherwise})"

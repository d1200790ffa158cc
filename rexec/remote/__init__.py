"""Remote functions: Python functions of an experiment that run beside the driver, on any controller.

    fit = rexec.remote.wrap(client).function(get_and_fit)
    x = fit(guess)

They are sent as source, with what they use, through `add_code` and `call`: stock controllers need nothing new.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rexec.remote._async import AsyncRemote, AsyncRemoteFunction
from rexec.remote._errors import CannotTravel, JobExpired, RemoteFunctionError, StateLost
from rexec.remote._fleet import Fleet, FleetError, FleetResults
from rexec.remote._function import RemoteDefinition, RemoteFunction, remote
from rexec.remote._jobs import Job, Stream
from rexec.remote._provided import (
    CurrentJob,
    controller_driver,
    controller_initial_namespace,
    job,
    provided,
)
from rexec.remote._remote import Remote

__all__ = [
    "AsyncRemote",
    "AsyncRemoteFunction",
    "CannotTravel",
    "CurrentJob",
    "Fleet",
    "FleetError",
    "FleetResults",
    "Job",
    "JobExpired",
    "Remote",
    "RemoteDefinition",
    "RemoteFunction",
    "RemoteFunctionError",
    "StateLost",
    "Stream",
    "controller_driver",
    "controller_initial_namespace",
    "fleet",
    "job",
    "provided",
    "remote",
    "wrap",
]


def wrap(
    client: Any,
    name: str | None = None,
    *,
    lease: float = 30.0,
    reconnect: Callable[[], Any] | None = None,
) -> Remote:
    """Return remote functions on any client that has `add_code` and `call`.

    Args:
        client: Of this or the reference library, as ARTIQ's own `get_device` returns it too.
        name: Device, for messages and logs.
        lease: Seconds without a word from here after which the controller ends the jobs of this client.
        reconnect: Returns a new client after a broken connection; ours connects again by itself.

    """
    return client if isinstance(client, Remote) else Remote(client, name, lease=lease, reconnect=reconnect)


def fleet(devices: Mapping[str, Any]) -> Fleet:
    """Return many controllers as one.

    Args:
        devices: A `Remote`, or any client with `add_code` and `call`, by name.

    """
    return Fleet({name: wrap(client, name) for name, client in devices.items()})

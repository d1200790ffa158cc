"""The ways to keep a lease, and which one a controller takes."""

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from typing import Any, Final, Protocol

from devicedb import DeviceDatabase, DeviceDBError, Endpoint
from rexec.access.identity import introduction
from rexec.devices import _lease_agent
from rexec.devices._lease_files import FileLease, file_users, lease_folder
from rexec.devices.connect import ssl_config
from rexec.devices.uses import DeviceUser
from rexec.ground import lease_table
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client

logger = logging.getLogger(__name__)

_MOST: Final = 1000
"""Maximum number of users that are read from an answer."""

_SHORT: Final = 1.0
"""Seconds for each step of connecting to a best-effort controller."""

LIMIT: Final = 10.0
"""Seconds for a server to answer a request about leases."""


class LeaseWay(Protocol):
    """A lease of one device for this process."""

    def take(self, exclusive: bool, timeout: float | None) -> list[DeviceUser]:
        """Take the lease, or return who is in its way; a stock controller in a call answers after it."""

    def shared(self) -> list[DeviceUser] | None:
        """Renew the lease, and return who else has had one meanwhile; None if it was lost."""

    def close(self) -> None:
        """End the lease."""


class ServerLease:
    """A lease in the table of a server of this project.

    It has a connection of its own, so that a call that is given up does not end it.

    Args:
        client: That connection.
        device: Name of the device in the table.
        id_: Of the holder.

    """

    def __init__(self, client: Client, device: str, id_: str) -> None:
        self._client = client
        self._device = device
        self._id = id_

    def take(self, exclusive: bool, timeout: float | None) -> list[DeviceUser]:
        return _users(self._ask("take", self._device, self._id, exclusive))

    def shared(self) -> list[DeviceUser] | None:
        found = self._ask("shared", self._device, self._id)
        return None if found is None else _users(found)

    def close(self) -> None:
        self._client.close_rpc()

    def _ask(self, name: str, *args: Any) -> Any:
        return self._client.rpc_lease(name, *args, timeout=LIMIT)


class AgentLease:
    """A lease in the table that is shipped to a stock controller with remote execution.

    Args:
        endpoint: Endpoint of the controller.
        target: Its remote execution.
        device: Name of the device in the table.
        id_: Of the holder.

    Raises:
        WireError: It cannot be reached.

    """

    def __init__(self, endpoint: Endpoint, target: str, device: str, id_: str) -> None:
        self._client = _client(endpoint, target, self._ship)
        self._device = device
        self._id = id_
        self._holder = _holder()
        self._is_shipped = False

    def take(self, exclusive: bool, timeout: float | None) -> list[DeviceUser]:
        return _users(self._ask("take", [self._device, self._id, exclusive, self._holder], timeout))

    def shared(self) -> list[DeviceUser] | None:
        found = self._ask("shared", [self._device, self._id], None)
        return None if found is None else _users(found)

    def close(self) -> None:
        self._client.close_rpc()

    def _ship(self, client: Client) -> None:
        client.rpc_call("add_code", [_shipped()], timeout=LIMIT)

    def _ask(self, name: str, args: list[Any], timeout: float | None) -> Any:
        if not self._is_shipped:
            self._client.rpc_call("add_code", [_shipped()], timeout=timeout)
            self._is_shipped = True
        return self._client.rpc_call("call", ["_rexec_lease", name, args], timeout=timeout)


_LOOK: Final = f"""
def _rexec_lease_users():
    table = controller_initial_namespace.get("{_lease_agent.TABLE}")
    return [] if table is None else table.present("")
"""


def users_of(client: Client, endpoint: Endpoint, own: str | None) -> tuple[DeviceUser, ...]:
    """Return who has a lease of a controller, the longest user first, and then who waits.

    Args:
        client: A client of a target of it.
        endpoint: Its endpoint.
        own: Target of the controller's own entry; None: the server's only one.

    Raises:
        WireError: The connection failed.

    """
    own = own or client.get_rpc_id()[0][0]
    try:
        if client.rpc_has_leases:
            said = client.rpc_lease("present", "")
        elif hasattr(client, "add_code") and hasattr(client, "call"):
            client.add_code(_LOOK)
            said = client.call("_rexec_lease_users")
        elif _is_here(endpoint):
            return tuple(file_users(lease_folder(), f"{endpoint.port} {own}"))
        else:
            return ()
    except WireError:
        raise
    except Exception as error:
        logger.debug("%s does not tell who uses it: %s: %s", endpoint.controller, type(error).__name__, error)
        return ()
    return tuple(_users(said, own))


def clients_of(client: Client) -> tuple[DeviceUser, ...]:
    """Return who is connected to a controller without a lease, as far as it tells.

    Args:
        client: A client of a target of it.

    Raises:
        WireError: The connection failed.

    """
    try:
        return tuple(_users(client.rpc_lease("connected")))
    except ValueError:  # a stock server, or one before this request
        return ()


@cache
def _shipped() -> str:
    """Return the code of a lease for `add_code`: a module, once a process, and the function that asks it."""
    text = "\n\n".join(inspect.getsource(module) for module in (lease_table, _lease_agent))
    source = "from __future__ import annotations\n" + re.sub(
        r"(?m)^from (?:__future__|rexec\.[\w.]+) import .*$", "", text
    )
    key = "_rexec_lease_" + sha256(source.encode()).hexdigest()[:12]
    return f'''
import sys, types
if "{key}" not in sys.modules:
    sys.modules["{key}"] = types.ModuleType("{key}")
    exec({source!r}, sys.modules["{key}"].__dict__)

def _rexec_lease(name, args):
    import sys
    return sys.modules["{key}"].lease_request(controller_initial_namespace, globals(), name, args)
'''


def _users(said: Any, device: str | None = None) -> list[DeviceUser]:
    """Return the users of a device, or of all devices, in a server's answer; an invalid answer counts as empty."""
    return [
        DeviceUser.of_lease(each)
        for each in (said if isinstance(said, list) else [])[:_MOST]
        if isinstance(each, dict) and (device is None or each.get("device") == device)
    ]


def lease_way(database: DeviceDatabase, endpoint: Endpoint, id_: str) -> LeaseWay | None:
    """Return the way to keep a lease of a controller; None if there is none.

    Args:
        database: The device database, which names the controller's remote execution.
        endpoint: Endpoint of the controller, or of a target of it.
        id_: Of the holder.

    Raises:
        WireError: The controller cannot be reached.
        OSError: No lock file can be made.

    """
    client = _client(endpoint)
    try:
        targets = client.get_rpc_id()[0]
        own = database.raw[endpoint.controller].get("target_name")
        own = own if own in targets else endpoint.target_name or targets[0]
        if client.rpc_has_leases:
            # The driver's own target: another one may have to be made, which waits for the driver.
            client.select_rpc_target(own)
            return ServerLease(client, own, id_)
        for target in _remote_targets(database, endpoint.controller, own):
            if target in targets:
                client.close_rpc()  # a connection has one target
                client = _client(endpoint, target)
                if hasattr(client, "add_code") and hasattr(client, "call"):
                    client.close_rpc()
                    return AgentLease(endpoint, target, own, id_)
    except BaseException:
        client.close_rpc()
        raise
    client.close_rpc()
    if _is_here(endpoint):
        return FileLease(lease_folder(), f"{endpoint.port} {own}", id_, _holder())
    return None


def _client(
    endpoint: Endpoint, target: str | None = None, on_connect: Callable[[Client], None] | None = None
) -> Client:
    return Client(
        endpoint.host,
        endpoint.port,
        target,
        ssl_config=ssl_config(endpoint.tls),
        # A run does not wait for a controller that it can do without.
        handshake_timeout=_SHORT if endpoint.best_effort else LIMIT,
        reconnect_timeout=0.0,
        on_connect=on_connect,
    )


def _remote_targets(database: DeviceDatabase, controller: str, own: str) -> Iterator[str]:
    """Yield the names that the remote execution of a controller may have."""
    for name, raw in database.raw.items():
        if isinstance(raw, dict) and raw.get("type") == "controller_aux_target":
            try:
                endpoint = database.endpoint(name)
            except DeviceDBError:
                continue
            if endpoint.controller == controller and endpoint.target_name:
                yield endpoint.target_name
    yield f"{own}_rexec"


def _is_here(endpoint: Endpoint) -> bool:
    from rexec.devices.hosts import is_this_machine  # psutil: only for stock controllers

    return is_this_machine(endpoint.host)


def _holder() -> dict[str, Any]:
    """Return what this process says of itself as the holder of a lease."""
    said = introduction()
    return {
        "what": said.run or said.program,
        "person": said.user,
        "known": "claimed",
        "machine": said.host,
        "pid": said.pid,
    }

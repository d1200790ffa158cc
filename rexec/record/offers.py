"""Targets and methods of a real controller, requested before it is recorded."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from devicedb import DeviceDatabase, Endpoint
from rexec.devices.connect import connect, ssl_config
from rexec.record.errors import RecordingError
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client


@dataclasses.dataclass(frozen=True)
class Source:
    """A real controller to record.

    Attributes:
        endpoint: Where it is.
        targets: Names of its targets.
        description: Its own description.
        methods: Names and method list of each target.

    """

    endpoint: Endpoint
    targets: tuple[str, ...]
    description: str | None
    methods: Mapping[str, tuple[frozenset[str], Any]]

    @property
    def name(self) -> str:
        """Name of the controller."""
        return self.endpoint.controller


def ask(database: DeviceDatabase, name: str, timeout: float = 10.0) -> Source:
    """Ask a controller what it offers.

    Args:
        database: The device database.
        name: The controller, an alias of it, or a target.
        timeout: Seconds for each step of connecting, and for each answer.

    Raises:
        DeviceDBError: The name is wrong.
        DeviceError: It cannot be reached, or lacks the target.
        RecordingError: It does not list its methods.

    """
    endpoint = database.endpoint(database.endpoint(name).controller)
    client: Any = connect(
        dataclasses.replace(endpoint, best_effort=False), database.raw[endpoint.controller], timeout
    )
    try:
        targets, description = client.get_rpc_id()
    finally:
        client.close_rpc()
    methods = {}
    for target in targets:
        try:
            one = Client(
                endpoint.host,
                endpoint.port,
                target,
                timeout,
                ssl_config(endpoint.tls),
                handshake_timeout=timeout,
            )
            try:
                listed = one.get_rpc_method_list()
            finally:
                one.close_rpc()
        except WireError as error:
            raise RecordingError(
                f"{endpoint.controller} at {endpoint.address}: target {target!r} does not say its methods: {error}"
            ) from error
        methods[target] = (frozenset(listed["methods"]), listed)
    return Source(endpoint, tuple(targets), description, methods)

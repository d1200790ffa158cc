"""Connects to the controller of an endpoint; each error says what to do."""

import os
import ssl
from typing import Any

from devicedb import Endpoint, TLSFiles
from devicedb.suggest import did_you_mean
from rexec.devices.errors import (
    DeviceProtocolError,
    DeviceTargetError,
    DeviceUnreachable,
    start_advice,
    where,
)
from rexec.remote import Remote
from rexec.wire.errors import CallTimeout, ConnectionFailed, IncompatibleServer, WireError
from rexec.wire.pc_rpc import BestEffortClient, Client
from rexec.wire.tls import SimpleSSLConfig


def connect(endpoint: Endpoint, entry: dict[str, Any], timeout: float) -> Client | BestEffortClient | Remote:
    """Return a connected client of a device; a best-effort client may still be connecting.

    Args:
        endpoint: Endpoint of the device.
        entry: The controller's raw entry, for the command that starts it.
        timeout: Seconds for connection and handshake.

    Raises:
        DeviceUnreachable: No process listens there, TLS is refused, or no answer comes in time.
        DeviceTargetError: The server has no such target.
        DeviceProtocolError: The server is not a controller.

    """
    if endpoint.best_effort:
        return _connect_best_effort(endpoint)
    try:
        client = Client(
            endpoint.host, endpoint.port, None, ssl_config=ssl_config(endpoint.tls), handshake_timeout=timeout
        )
    except WireError as error:
        raise _failure(endpoint, entry, error) from error
    try:
        client.select_rpc_target(_choose(endpoint, client.get_rpc_id()[0]))
    except WireError as error:
        client.close_rpc()
        raise _failure(endpoint, entry, error) from error
    except BaseException:
        client.close_rpc()
        raise
    return with_remote_functions(client, endpoint.name)


def with_remote_functions(client: Client, name: str) -> Client | Remote:
    """Return the client of a remote execution target wrapped as `Remote`; any other client unchanged."""
    return Remote(client, name) if all(hasattr(client, method) for method in ("add_code", "call")) else client


def _connect_best_effort(endpoint: Endpoint) -> BestEffortClient:
    try:
        return BestEffortClient(
            endpoint.host, endpoint.port, endpoint.target_name, ssl_config=ssl_config(endpoint.tls)
        )
    except IncompatibleServer as error:
        raise DeviceTargetError(f"{where(endpoint)}: {error}") from error


def ssl_config(tls: TLSFiles | None) -> SimpleSSLConfig | None:
    """Return the TLS configuration of a client, or None."""
    return SimpleSSLConfig(tls.client_cert, tls.client_key, tls.server_cert) if tls is not None else None


def _choose(endpoint: Endpoint, targets: list[str]) -> str:
    """Return the target to use; DeviceTargetError lists the server's targets."""
    has = ", ".join(map(repr, targets)) or "none"
    wanted = endpoint.target_name
    if wanted is None:
        if len(targets) == 1:
            return targets[0]
        raise DeviceTargetError(
            f"{where(endpoint)}: the server has {len(targets)} targets ({has}); set target_name in the entry "
            f"{endpoint.entry_name!r}"
        )
    if wanted not in targets:
        raise DeviceTargetError(
            f"{where(endpoint)}: the server has no such target; it has {has}.{did_you_mean(wanted, targets)}"
        )
    return wanted


def _failure(endpoint: Endpoint, entry: dict[str, Any], error: WireError) -> Exception:
    """Return the device error of a failed connection."""
    reason = _reason(error)
    if isinstance(error, IncompatibleServer):
        return DeviceProtocolError(
            f"{where(endpoint)}: {reason}. Is the port right, and does a controller listen there?"
        )
    if _is_running(error):
        return DeviceUnreachable(
            f"{where(endpoint)}: {reason}: it is running, but hung or in a call{_of_others(endpoint)}. "
            f"`rexec doctor {endpoint.controller}` tells which",
            in_a_call=True,
        )
    return DeviceUnreachable(f"{where(endpoint)}: {reason}. {_advice(endpoint, entry, error)}")


def _advice(endpoint: Endpoint, entry: dict[str, Any], error: WireError) -> str:
    step = error.step if isinstance(error, ConnectionFailed) else ""
    if step == "resolve":
        return f"Is the host of the entry {endpoint.controller!r} spelled right?"
    if step == "files":
        return f"simple_ssl_config of the entry {endpoint.controller!r} names it"
    if step in ("tls", "greeting", "target"):
        return f"Something listens there: `rexec doctor {endpoint.controller}` tells more"
    return start_advice(endpoint, entry, os.environ.get("ARTIQ_SSL_DIR"))


def _is_running(error: WireError) -> bool:
    """Return whether something accepted the connection, and then said nothing in time."""
    is_late = isinstance(error.__cause__, CallTimeout)
    return isinstance(error, ConnectionFailed) and error.step in ("greeting", "target") and is_late


def _of_others(endpoint: Endpoint) -> str:
    """Return who else is connected to a controller of this machine, as far as the system lists them."""
    # psutil: only where a controller does not answer
    from rexec.devices.hosts import is_this_machine
    from rexec.devices.peers import Connections

    clients = Connections().clients(endpoint.port) if is_this_machine(endpoint.host) else None
    return f" (clients: {', '.join(clients)})" if clients else ""


def _reason(error: WireError) -> str:
    """Return the system's error text, if there is one, without the address, which the message already has."""
    cause = error.__cause__
    if isinstance(error, ConnectionFailed) and isinstance(cause, OSError) and cause.strerror:
        # OpenSSL's text does not name the wrong file; the wire's own text does.
        if not isinstance(cause, ssl.SSLError):
            return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(error).rstrip(".")

"""Makes the client of a controller from its endpoint; every failure says what to do about it."""

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
from rexec.wire.errors import ConnectionFailed, IncompatibleServer, WireError
from rexec.wire.pc_rpc import BestEffortClient, Client
from rexec.wire.tls import SimpleSSLConfig


def connect(endpoint: Endpoint, entry: dict[str, Any], timeout: float) -> Client | BestEffortClient | Remote:
    """Return a connected client of a device; a best-effort one may still be connecting.

    Args:
        endpoint: Of the device.
        entry: The controller's entry as written, for the command that would start it.
        timeout: Seconds for connection and handshake.

    Raises:
        DeviceUnreachable: Nobody listens there, TLS is refused, or no answer comes in time.
        DeviceTargetError: The server has no such target.
        DeviceProtocolError: The server is no controller.

    """
    if endpoint.best_effort:
        return _connect_best_effort(endpoint)
    try:
        client = Client(
            endpoint.host, endpoint.port, None, ssl_config=ssl_config(endpoint.tls), handshake_timeout=timeout
        )
    except WireError as error:
        raise _failure(endpoint, entry, error) from error
    except OSError as error:
        raise DeviceUnreachable(f"{where(endpoint)}: {error}") from error
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
    """Return the client of a remote execution target with remote functions, any other as it is."""
    return Remote(client, name) if all(hasattr(client, method) for method in ("add_code", "call")) else client


def _connect_best_effort(endpoint: Endpoint) -> BestEffortClient:
    try:
        return BestEffortClient(
            endpoint.host, endpoint.port, endpoint.target_name, ssl_config=ssl_config(endpoint.tls)
        )
    except IncompatibleServer as error:
        raise DeviceTargetError(f"{where(endpoint)}: {error}") from error
    except (WireError, OSError) as error:
        raise DeviceUnreachable(f"{where(endpoint)}: {error}") from error


def ssl_config(tls: TLSFiles | None) -> SimpleSSLConfig | None:
    """Return the TLS settings of a client, None where the endpoint has none."""
    return SimpleSSLConfig(tls.client_cert, tls.client_key, tls.server_cert) if tls is not None else None


def _choose(endpoint: Endpoint, targets: list[str]) -> str:
    """Return the target to use; DeviceTargetError says what the server has."""
    has = ", ".join(map(repr, targets)) or "none"
    wanted = endpoint.target_name
    if wanted is None:
        if len(targets) == 1:
            return targets[0]
        raise DeviceTargetError(
            f"{where(endpoint)}: the server has {len(targets)} targets ({has}); put the right one into "
            f"the entry {endpoint.entry_name!r} as target_name"
        )
    if wanted not in targets:
        raise DeviceTargetError(
            f"{where(endpoint)}: the server has no such target; it has {has}.{did_you_mean(wanted, targets)}"
        )
    return wanted


def _failure(endpoint: Endpoint, entry: dict[str, Any], error: WireError) -> Exception:
    """Return what a failed connection means for the device."""
    reason = _reason(error)
    if isinstance(error, IncompatibleServer):
        return DeviceProtocolError(
            f"{where(endpoint)}: {reason}. Is the port right, and is it a controller that listens there?"
        )
    advice = start_advice(endpoint, entry, os.environ.get("ARTIQ_SSL_DIR"))
    return DeviceUnreachable(f"{where(endpoint)}: {reason}. {advice}")


def _reason(error: WireError) -> str:
    """Return the cause in the system's words where there is one, without the address that is named anyhow."""
    cause = error.__cause__
    if isinstance(error, ConnectionFailed) and isinstance(cause, OSError) and cause.strerror:
        # What OpenSSL says alone tells nobody which file is wrong.
        if not isinstance(cause, ssl.SSLError):
            return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(error).rstrip(".")

"""Connects a controller to another server, usually the dataset database, for the code on the controller."""

import inspect
import ipaddress
import logging
from typing import Any, Final

from rexec.remote_exec import _shipped
from rexec.remote_exec._dataset_db import DEFAULT_PORT, offered_dataset_db
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)
_OLD: Final = "master_"
_LOOPBACK: Final = ("127.0.0.1", "::1")
_CALL: Final = """
def _rexec_put_client_here(name, hosts, port, targets, tls):
    outcome = _rexec_put_client(controller_initial_namespace, name, hosts, port, targets, tls)
    globals()[name] = controller_initial_namespace[name]
    return outcome
"""


def connect_global_rpc(
    controller_rexec: Any,
    host: str | None = None,
    port: int | None = None,
    target: str | None = None,
    name: str = "dataset_db",
    *,
    ssl_config: SimpleSSLConfig | None = None,
) -> None:
    """Put a client into the controller-wide namespace, shared by this and all later connections.

    A working client of the same name is kept; if it leads to another server, a warning is logged. A client of an
    earlier call that no longer works is replaced.

    Args:
        controller_rexec: Client of a `NAME_rexec` target, of this or the reference library.
        host: Host of the server, seen from the controller; None: the running experiment's dataset database, else the
            local address of the client's connection.
        port: TCP port; None: the running experiment's dataset database, else 3251.
        target: Target, tried with and without the prefix `master_` of ARTIQ before release 9; None: the dataset
            database.
        name: Name of the client in the namespace.
        ssl_config: TLS files on the controller's machine, if the server requires TLS.

    Raises:
        ConnectionError: The controller cannot reach the server.
        LookupError: The server has no such target; the text lists its targets.

    """
    offer = offered_dataset_db() if port is None else None
    if offer is not None:
        port, host = offer.port, host or offer.host
    hosts = addresses(host or controller_rexec.get_local_host())
    targets = target_names(target)
    tls = None if ssl_config is None else [ssl_config.local_cert, ssl_config.local_key, ssl_config.peer_cert]
    controller_rexec.add_code(inspect.getsource(_shipped) + _CALL)
    outcome = controller_rexec.call(
        "_rexec_put_client_here", name, hosts, DEFAULT_PORT if port is None else port, targets, tls
    )
    wanted = f"{hosts[0]}:{DEFAULT_PORT if port is None else port}"
    if outcome["done"] == "made":
        _log.info("%s on the controller is a client of %s, target %s", name, wanted, outcome["target"])
    elif not outcome["mine"]:
        _log.info("the controller already has a %s, not made by this function: kept", name)
    elif not outcome["same"]:
        _log.warning(
            "the controller already has a %s, connected to %s: kept, so remote code does not use %s. "
            "If another experiment uses the controller, wait for its end; otherwise give another name",
            name,
            outcome["where"],
            wanted,
        )


def target_names(target: str | None) -> list[str]:
    """Return the names of a master's target to try, the preferred one first.

    Args:
        target: Name given by the user; None: the dataset database.

    """
    if target is None:
        return target_names("dataset_db")
    return [target, target.removeprefix(_OLD) if target.startswith(_OLD) else _OLD + target]


def addresses(host: str) -> list[str]:
    """Return the addresses to try for a host; for a loopback address, also that of the other IP version.

    Args:
        host: Name or address.

    """
    try:
        loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return [host]
    return [host, *(each for each in _LOOPBACK if each != host)] if loopback else [host]

"""Gives the code on a controller a client of another server: usually the dataset database."""

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
    return _rexec_put_client(controller_initial_namespace, name, hosts, port, targets, tls)
"""


def connect_global_rpc(
    rexec: Any,
    host: str | None = None,
    port: int | None = None,
    target: str | None = None,
    name: str = "dataset_db",
    *,
    ssl_config: SimpleSSLConfig | None = None,
) -> None:
    """Put a client, shared by all later connections, into the controller-wide namespace.

    Code added on connections made afterwards finds it under `name`; code of this connection under
    `controller_initial_namespace[name]`. Where a working client has that name already, nothing is done (a
    warning is logged if it leads elsewhere); one that an earlier call put there and that no longer works is
    replaced.

    Args:
        rexec: Client of a `NAME_rexec` target, of this or the reference library.
        host: Where the server is, seen from the controller; None: where the running experiment serves its
            datasets, else this end of the client's connection.
        port: Its TCP port; None: that of the running experiment's dataset database, else 3251.
        target: Its target; tried with and without the prefix `master_`, that is under its name in old and new
            releases of ARTIQ. None: the dataset database.
        name: Name to give to the client.
        ssl_config: TLS files on the controller's machine, if the server wants TLS.

    Raises:
        ConnectionError: The controller cannot reach the server.
        LookupError: The server has no such target; the text lists those that it has.

    """
    offer = offered_dataset_db() if port is None else None
    if offer is not None:
        port, host = offer.port, host or offer.host
    hosts = addresses(host or rexec.get_local_host())
    targets = target_names(target)
    tls = None if ssl_config is None else [ssl_config.local_cert, ssl_config.local_key, ssl_config.peer_cert]
    rexec.add_code(inspect.getsource(_shipped) + _CALL)
    outcome = rexec.call(
        "_rexec_put_client_here", name, hosts, DEFAULT_PORT if port is None else port, targets, tls
    )
    wanted = f"{hosts[0]}:{DEFAULT_PORT if port is None else port}"
    if outcome["done"] == "made":
        _log.info("%s on the controller is a client of %s, target %s", name, wanted, outcome["target"])
    elif not outcome["mine"]:
        _log.info("the controller has a %s already, which was not put there by this function: kept", name)
    elif not outcome["same"]:
        _log.warning(
            "the controller has a %s already, connected to %s: kept, so its code does not use %s. "
            "If another experiment is using the controller, wait for its end; otherwise give another name",
            name,
            outcome["where"],
            wanted,
        )


def target_names(target: str | None) -> list[str]:
    """Return the names under which a target of a master is looked for, the preferred one first.

    Args:
        target: As the user wrote it; None: the dataset database.

    """
    if target is None:
        return target_names("dataset_db")
    return [target, target.removeprefix(_OLD) if target.startswith(_OLD) else _OLD + target]


def addresses(host: str) -> list[str]:
    """Return the addresses to try for a host: a server on loopback may listen on either kind of it.

    Args:
        host: Name or address.

    """
    try:
        loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return [host]
    return [host, *(each for each in _LOOPBACK if each != host)] if loopback else [host]

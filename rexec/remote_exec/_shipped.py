"""Runs on any controller: puts a client of another server into the controller-wide namespace.

`rexec.remote_exec.connect_global_rpc` sends the source of this module. It must not import this project at its top,
because the controller may not have it.
"""

import logging
import socket
from importlib import import_module
from typing import Any

REXEC_REGISTRY = "_rexec_global_clients"
"""Name of the registry in the controller-wide namespace: {name: {client, host, port, target, tls}}."""
_rexec_timeout = 5.0


def _rexec_put_client(
    namespace: dict[str, Any],
    name: str,
    hosts: list[str],
    port: int,
    targets: list[str],
    tls: list[str] | None,
) -> dict[str, Any]:
    """Put a client into the namespace unless it has a working one; return the outcome."""
    registry = namespace.setdefault(REXEC_REGISTRY, {})
    if name in namespace:
        previous = registry.get(name)
        if previous is None or previous["client"] is not namespace[name]:
            return {"done": "kept", "mine": False, "where": ""}
        where = f"{previous['host']}:{previous['port']}"
        if _rexec_is_alive(previous):
            same = previous["port"] == port and previous["host"] in hosts and previous["target"] in targets
            return {"done": "kept", "mine": True, "same": same, "where": where}
        _rexec_close(previous["client"])
        del registry[name]
        del namespace[name]
    client, host, target = _rexec_connect(hosts, port, targets, tls)
    registry[name] = {"client": client, "host": host, "port": port, "target": target, "tls": tls}
    namespace[name] = client
    return {"done": "made", "where": f"{host}:{port}", "target": target}


def _rexec_client_classes() -> tuple[Any, Any]:
    """Return client class and TLS module of the installed library; ours is preferred, because it reconnects."""
    try:
        client, tls = import_module("rexec.wire.pc_rpc"), import_module("rexec.wire.tls")
    except ImportError:
        client, tls = import_module("sipyco.pc_rpc"), import_module("sipyco.tools")
    return client.Client, tls


def _rexec_tls(module: Any, tls: list[str] | None) -> dict[str, Any]:
    # Old releases of the reference library have no TLS and no such keyword.
    return {} if tls is None else {"ssl_config": module.SimpleSSLConfig(*tls)}


def _rexec_connect(
    hosts: list[str], port: int, targets: list[str], tls: list[str] | None
) -> tuple[Any, str, str]:
    client_class, tls_module = _rexec_client_classes()
    failures = []
    for host in hosts:
        try:
            # The reference library's constructor has no timeout, so test the connection first.
            socket.create_connection((host, port), _rexec_timeout).close()
            client = client_class(host, port, None, **_rexec_tls(tls_module, tls))
        except OSError as error:
            failures.append(f"{host}:{port}: {error}")
            continue
        try:
            offered = client.get_rpc_id()[0]
            for target in targets:
                if target in offered:
                    client.select_rpc_target(target)
                    return client, host, target
        except BaseException:
            _rexec_close(client)
            raise
        _rexec_close(client)
        raise LookupError(
            f"{host}:{port} has none of the targets {', '.join(targets)}; "
            f"it has {', '.join(offered) or 'none'}"
        )
    raise ConnectionError(
        f"{socket.gethostname()} cannot connect: {'; '.join(failures)}. "
        "Does the server run, and is it reachable from the controller's machine?"
    )


def _rexec_is_alive(entry: dict[str, Any]) -> bool:
    """Return whether the server answers and the client works, or reconnects at its next call."""
    client_class, tls_module = _rexec_client_classes()
    try:
        probe = client_class(
            entry["host"],
            entry["port"],
            entry["target"],
            timeout=_rexec_timeout,
            **_rexec_tls(tls_module, entry["tls"]),
        )
        _rexec_close(probe)
        entry["client"].get_rpc_method_list()
    except Exception as error:
        logging.getLogger("rexec").info("%s:%s: %s", entry["host"], entry["port"], error)
        return False
    return True


def _rexec_close(client: Any) -> None:
    try:
        client.close_rpc()
    except Exception as error:
        logging.getLogger("rexec").debug("closing a client: %s", error)

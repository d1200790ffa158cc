"""The controller's side of remote execution."""

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from rexec.remote_exec._shipped import REXEC_REGISTRY
from rexec.remote_exec._sources import Sources
from rexec.wire.pc_rpc import simple_server_loop, while_busy
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)
_MODULE: Final = "rexec.remote_exec"


class RemoteExecServer:
    """Target that runs the code of one connection, in a namespace of its own.

    Code that clients send has the full rights of the controller: serve it on loopback, or with TLS.

    Args:
        initial_namespace: Names that the code finds, the controller-wide ones; copied, not changed.

    """

    def __init__(self, initial_namespace: dict[str, Any]) -> None:
        self.namespace = dict(initial_namespace)
        # Compilers such as Numba import the module that a function says it is from, so there must be one.
        self.namespace["__name__"] = _MODULE
        self._sources = Sources()
        weakref.finalize(self, self._sources.drop)

    def add_code(self, code: str) -> None:
        """Run source text in the namespace of this connection: definitions stay for `call`.

        Args:
            code: Python source. Tracebacks show its lines.

        Raises:
            SyntaxError: It is no Python source.
            Exception: What running it raised.

        """
        compiled = compile(code, self._sources.add(code), "exec", dont_inherit=True)
        exec(compiled, self.namespace)  # noqa: S102  this is what remote execution is

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the namespace and return its value; the server awaits a coroutine.

        Args:
            function: Its name.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Raises:
            KeyError: There is nothing of that name.
            Exception: What the function raised.

        """
        return self.namespace[function](*args, **kwargs)


def rexec_targets(
    target_name: str,
    target: Any,
    connection: Callable[[dict[str, Any]], RemoteExecServer] = RemoteExecServer,
) -> dict[str, Any]:
    """Return the targets of a controller with remote execution, for `rexec.wire.pc_rpc.Server`.

    Args:
        target_name: Name of the driver's target.
        target: The driver.
        connection: Makes the target of one connection from the controller-wide namespace.

    Returns:
        The driver under its name, and under that name with `_rexec` a factory of one namespace a connection.

    """
    controller_wide: dict[str, Any] = {"controller_driver": target}
    controller_wide["controller_initial_namespace"] = controller_wide

    # Copying a dict does not touch the driver: new connections are accepted while it is busy.
    @while_busy
    def new_connection() -> RemoteExecServer:
        return connection(controller_wide)

    return {target_name: target, f"{target_name}_rexec": new_connection}


def simple_rexec_server_loop(
    target_name: str,
    target: Any,
    host: str | Sequence[str] | None,
    port: int,
    description: str | None = None,
    *,
    ssl_config: SimpleSSLConfig | None = None,
    allow_parallel: bool = False,
) -> None:
    """Serve a driver, and remote execution beside it as `NAME_rexec`, until told to end.

    Code of a connection finds `controller_driver` (the driver) and `controller_initial_namespace` (the dict
    that every later connection starts with).

    Args:
        target_name: Name of the driver's target.
        target: The driver.
        host: Name or address to listen on, several of them, or None for all interfaces.
        port: TCP port.
        description: Text for people.
        ssl_config: TLS, if any.
        allow_parallel: Let coroutine methods of several connections overlap.

    Raises:
        OSError: The address cannot be listened on, or a TLS file cannot be read.

    """
    targets = rexec_targets(target_name, target)
    try:
        simple_server_loop(targets, host, port, description, allow_parallel, ssl_config=ssl_config)
    finally:
        close_global_clients(targets[f"{target_name}_rexec"])


def close_global_clients(factory: Callable[[], RemoteExecServer]) -> None:
    """Close the clients that `connect_global_rpc` put onto a controller.

    Args:
        factory: The controller's target for remote execution, as `rexec_targets` made it.

    """
    registry = factory().namespace["controller_initial_namespace"].get(REXEC_REGISTRY, {})
    while registry:
        name, entry = registry.popitem()
        _log.debug("closing the global client %s", name)
        entry["client"].close_rpc()

"""The server side of remote execution."""

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
    """RPC target that runs the code of one connection in its own namespace.

    Code from clients has the full rights of the controller: serve it on loopback, or with TLS.

    Args:
        initial_namespace: The controller-wide namespace; it is copied, not changed.

    """

    def __init__(self, initial_namespace: dict[str, Any]) -> None:
        self.namespace = dict(initial_namespace)
        # A real module, because compilers such as Numba import the module of a function.
        self.namespace["__name__"] = _MODULE
        self._sources = Sources()
        weakref.finalize(self, self._sources.drop)

    def add_code(self, code: str) -> None:
        """Run source text in the namespace of this connection; `call` finds its definitions.

        Args:
            code: Python source. Tracebacks show its lines.

        Raises:
            SyntaxError: The text is not Python source.
            Exception: Any exception of the code.

        """
        compiled = compile(code, self._sources.add(code), "exec", dont_inherit=True)
        exec(compiled, self.namespace)  # noqa: S102  this is what remote execution is

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the namespace and return its value; the server awaits a coroutine.

        Args:
            function: Name of the function.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Raises:
            KeyError: The namespace has no such name.
            Exception: Any exception of the function.

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
        The driver under its name, and under `NAME_rexec` a factory that makes one namespace per connection.

    """
    controller_wide: dict[str, Any] = {"controller_driver": target}
    controller_wide["controller_initial_namespace"] = controller_wide

    # Copying a dict does not use the driver, so a busy driver does not block new connections.
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
    """Serve a driver as `NAME` and remote execution as `NAME_rexec`, until a signal or a client ends the server.

    Remote code finds `controller_driver` (the driver) and `controller_initial_namespace` (the dict from which the
    namespace of every later connection is copied).

    Args:
        target_name: Name of the driver's target.
        target: The driver.
        host: Name or address to listen on, several of them, or None for all interfaces.
        port: TCP port.
        description: Text for people.
        ssl_config: TLS files, or None.
        allow_parallel: Let coroutine methods of several connections overlap.

    Raises:
        OSError: The server cannot listen on the address, or cannot read a TLS file.

    """
    targets = rexec_targets(target_name, target)
    try:
        simple_server_loop(targets, host, port, description, allow_parallel, ssl_config=ssl_config)
    finally:
        close_global_clients(targets[f"{target_name}_rexec"])


def close_global_clients(factory: Callable[[], RemoteExecServer]) -> None:
    """Close the clients that `connect_global_rpc` made on a controller.

    Args:
        factory: The factory of `rexec_targets`.

    """
    registry = factory().namespace["controller_initial_namespace"].get(REXEC_REGISTRY, {})
    while registry:
        name, entry = registry.popitem()
        _log.debug("closing the global client %s", name)
        entry["client"].close_rpc()

"""The pc_rpc client for instruments that an experiment can do without."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from rexec.ground.reentrant_event import ReentrantEvent
from rexec.ground.waits import join_all
from rexec.wire._client import Client
from rexec.wire._forks import OfOneProcess
from rexec.wire._handshake import AutoTarget, TargetName
from rexec.wire.errors import IncompatibleServer, ReentrantCall, WireError
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)


class BestEffortClient(OfOneProcess):
    """A client whose calls return None while the connection is broken; it is remade in the background.

    Args:
        host: Name or address.
        port: TCP port.
        target_name: Target; `AutoTarget` or None: the only one there is.
        firstcon_timeout: Longest time for the first connection, in seconds; calls return None if it failed.
        retry: Time between attempts to connect, in seconds.
        ssl_config: TLS, if any.

    Attributes:
        last_error: What went wrong last with the connection; None if all went well since.

    Raises:
        IncompatibleServer: The server is there, but speaks another protocol or does not have the target.

    """

    def __init__(
        self,
        host: str,
        port: int,
        target_name: TargetName,
        firstcon_timeout: float = 1.0,
        retry: float = 5.0,
        ssl_config: SimpleSSLConfig | None = None,
    ) -> None:
        self.last_error: Exception | None = None
        self.__host = host
        self.__port = port
        self.__target: TargetName = AutoTarget if target_name is None else target_name
        self.__retry = retry
        self.__ssl_config = ssl_config
        self.__client: Client | None = None
        """That of the present connection; None while there is none."""
        self.__known: Client | None = None
        """The last one, for its facts."""
        self.__ended = ReentrantEvent()
        self.__thread: threading.Thread | None = None
        """Remakes the connection."""
        try:
            self.__connect(firstcon_timeout)
        except IncompatibleServer:
            raise
        except WireError as error:
            self.__broken(error)

    def __connect(self, timeout: float) -> None:
        client = Client(
            self.__host,
            self.__port,
            self.__target,
            ssl_config=self.__ssl_config,
            handshake_timeout=timeout,
            reconnect_timeout=0.0,
        )
        self.last_error = None
        self.__client = self.__known = client
        if self.__ended.is_set():
            client.close_rpc()

    def __broken(self, error: Exception) -> None:
        """Note a fault, say it once, and have a thread remake the connection."""
        self.last_error = error
        client, self.__client = self.__client, None
        if client is not None:
            client.close_rpc()
        self.__remake(error)

    def __remake(self, error: Exception | None = None) -> None:
        """Start the thread that remakes the connection, and say the fault, unless one runs in this process."""
        if self.__ended.is_set() or (self.__thread is not None and self.__thread.is_alive()):
            return
        if error is not None:
            _log.warning("%s: its calls return None until it is back (tried every %g s)", error, self.__retry)
        self.__thread = threading.Thread(target=self.__reconnect, name="rexec-best-effort", daemon=True)
        self.__thread.start()

    def __reconnect(self) -> None:
        while not self.__ended.wait(self.__retry):
            # Two threads that noticed the fault at once may each have started one of these.
            if self.__thread is not threading.current_thread():
                return
            try:
                self.__connect(max(self.__retry, 1.0))
            except WireError as error:
                self.last_error = error
                continue
            _log.info("%s:%d is back", self.__host, self.__port)
            return

    def __attempt(self, action: Callable[[Client], Any]) -> Any:
        client = self.__client
        if client is None:
            self.__remake()
            return None
        try:
            return action(client)
        except ReentrantCall:
            raise
        except WireError as error:
            if not self.__ended.is_set() and self.__client is client:
                self.__broken(error)
            return None

    @property
    def rpc_pending(self) -> tuple[int, str] | None:
        """Number and method of the call that waits for its answer; None if none does."""
        client = self.__client
        return None if client is None else client.rpc_pending

    def get_selected_target(self) -> str | None:
        """Return the name of the target; None if there was no connection yet and no name was given."""
        if self.__known is not None:
            return self.__known.get_selected_target()
        return self.__target if isinstance(self.__target, str) else None

    def get_rpc_id(self) -> tuple[list[str], str | None] | None:
        """Return what the server said in its greeting; None if there was no connection yet."""
        return None if self.__known is None else self.__known.get_rpc_id()

    def get_local_host(self) -> str | None:
        """Return the address of this end of the connection; None while there is none."""
        result: str | None = self.__attempt(lambda client: client.get_local_host())
        return result

    def get_rpc_method_list(self) -> dict[str, Any] | None:
        """Return {"docstring": …, "methods": …} of the target; None while there is no connection."""
        result: dict[str, Any] | None = self.__attempt(lambda client: client.get_rpc_method_list())
        return result

    def close_rpc(self) -> None:
        """Close the connection and end the attempts to remake it."""
        self.__ended.set()
        client, self.__client = self.__client, None
        if client is not None:
            client.close_rpc()
        if self.__thread is not None and self.__thread is not threading.current_thread():
            join_all([self.__thread])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or "_BestEffortClient__known" not in self.__dict__:
            raise AttributeError(name)
        known = self.__known
        if known is not None:
            getattr(known, name)  # raises AttributeError, with a text, where the target has no such method

        def proxy(*args: Any, **kwargs: Any) -> Any:
            return self.__attempt(lambda client: client.rpc_call(name, args, kwargs))

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

"""The blocking pc_rpc client."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from rexec.wire._conversation import Conversation
from rexec.wire._forks import OfOneProcess
from rexec.wire._handshake import AutoTarget, TargetName, no_such_method
from rexec.wire._pieces import Piece
from rexec.wire._protocol import FEATURES, INTRODUCTION, RemoteFailure, bare_method_list
from rexec.wire.call_lock import CallLock
from rexec.wire.connection import Connection, open_connection
from rexec.wire.errors import CallTimeout, ConnectionFailed, shown_address
from rexec.wire.tls import SimpleSSLConfig

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class Client(OfOneProcess):
    """Calls the methods of a remote target: `client.method(…)` returns what the method there returns.

    A call that fails on the way closes its connection; the next call makes a new one. What the target had kept for
    the connection (the code of remote execution) is gone then: `on_connect` can put it back.

    Args:
        host: Name or address.
        port: TCP port.
        target_name: Target, `AutoTarget` (the only one there is), or None to choose later.
        timeout: Longest silence during connection and call, in seconds; None waits for ever during a call.
        ssl_config: TLS, if any.
        handshake_timeout: Longest time for connecting and each step of the handshake, in seconds.
        call_timeout: Longest time for a whole call, in seconds.
        reconnect_timeout: How long a call tries to make a new connection, in seconds; 0: one attempt.
        on_connect: Called with the client after each reconnection, before the call goes on.
        features: Features of the protocol that may be used, of those that both sides have.

    Raises:
        ConnectionFailed: No connection could be made.
        IncompatibleServer: The server speaks another protocol, or does not have the target.

    """

    def __init__(
        self,
        host: str,
        port: int,
        target_name: TargetName = AutoTarget,
        timeout: float | None = None,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        handshake_timeout: float = 10.0,
        call_timeout: float | None = None,
        reconnect_timeout: float = 5.0,
        on_connect: Callable[["Client"], object] | None = None,
        features: Sequence[str] = FEATURES,
    ) -> None:
        self.__host = host
        self.__port = port
        self.__wanted = target_name
        self.__silence = timeout
        self.__ssl_config = ssl_config
        self.__handshake_timeout = handshake_timeout if timeout is None else min(timeout, handshake_timeout)
        self.__call_timeout = call_timeout
        self.__reconnect_timeout = reconnect_timeout
        self.__on_connect = on_connect
        self.__features = tuple(features)
        self.__lock = CallLock()
        self.__closed = False
        self.__connections = 1
        self.__own_class: Any = type(self)
        self.__connection: Connection | None = None
        self.__unprepared: Connection | None = None
        """A new connection for which `on_connect` has not returned yet."""
        self.__begin(self.__open(target_name))

    def __open(self, target: TargetName) -> Connection:
        return open_connection(
            self.__host, self.__port, target, self.__ssl_config, self.__handshake_timeout, self.__features
        )

    def __begin(self, connection: Connection) -> None:
        """Use a connection, and get the methods of its target."""
        self.__class__ = self.__with_methods(self.__own_class, connection.talk.methods)
        self.__talk: Conversation = connection.talk
        self.__connection = connection

    def select_rpc_target(self, target_name: TargetName) -> None:
        """Choose the target, once, where the constructor was given None.

        Args:
            target_name: A name, or `AutoTarget`.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        with self.__lock:
            connection = self.__connection
            if connection is None or not connection.clean or not connection.quiet():
                self.__drop()
                connection = self.__open(None)
                self.__begin(connection)
            connection.choose(target_name, self.__handshake_timeout)
            self.__begin(connection)
            self.__wanted = connection.talk.target

    def get_selected_target(self) -> str | None:
        """Return the name of the target; None as long as none is chosen."""
        return self.__talk.target

    def get_rpc_id(self) -> tuple[list[str], str | None]:
        """Return what the server said in its greeting: names of its targets, and its description."""
        greeting = self.__talk.greeting
        return list(greeting.targets), greeting.description

    def get_local_host(self) -> str:
        """Return the address of this end of the connection.

        Raises:
            ConnectionFailed: There is none, and none could be made.

        """
        with self.__lock:
            return self.__usable(None).local_host()

    def get_rpc_method_list(self) -> dict[str, Any]:
        """Return {"docstring": …, "methods": {name: (argspec, docstring)}} of the target.

        Of a server that fails on its methods' annotations, as reference ones may, only the names.

        Raises:
            WireError: The connection failed.
            Exception: What the server raised while it collected them.

        """
        try:
            result: dict[str, Any] = self.__request(None, Conversation.encode_method_list)
        except AttributeError:
            return bare_method_list(self.__talk.methods)
        return result

    def rpc_call(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Call a method, with a time limit of its own.

        Args:
            name: The method.
            args: Positional arguments.
            kwargs: Keyword arguments.
            timeout: Longest time for the whole call, in seconds; None: the client's `call_timeout`.

        Raises:
            CallTimeout: It took longer.
            ConnectionBroken: The connection was lost meanwhile.
            ConnectionFailed: There was none, and none could be made.
            TypeError: An argument has no encoding.
            Exception: What the method raised.

        """
        return self.__request(timeout, Conversation.encode_call, name, args, dict(kwargs or {}))

    @property
    def rpc_has_leases(self) -> bool:
        """Whether the server answers `rpc_lease`."""
        return INTRODUCTION in self.__talk.greeting.features

    def rpc_lease(self, name: str, *args: Any, timeout: float | None = None) -> Any:
        """Ask a server of this project about leases (docs/explanation/wire.md); a busy one answers at once.

        Raises:
            WireError: The connection failed.
            ValueError: The server is a stock one.

        """
        if not self.rpc_has_leases:
            raise ValueError(f"{self.__where()} knows no leases")
        return self.__request(timeout, Conversation.encode_lease, name, args)

    @property
    def rpc_connections(self) -> int:
        """Number of connections so far; a change shows a new one."""
        return self.__connections

    @property
    def rpc_pending(self) -> tuple[int, str] | None:
        """Number and method of the call that waits for its answer; None if none does. From any thread."""
        connection = self.__connection
        return None if connection is None or connection.clean else connection.talk.last_request

    def close_rpc(self) -> None:
        """Close the connection. A call of another thread that waits for its answer fails."""
        self.__closed = True
        self.__drop()

    def __where(self) -> str:
        return shown_address(self.__host, self.__port)

    def __drop(self) -> None:
        connection, self.__connection = self.__connection, None
        if connection is not None:
            connection.close()

    def __refuse_if_closed(self) -> None:
        if self.__closed:
            self.__drop()
            raise ConnectionFailed(f"the client of {self.__where()} is closed")

    def __usable(self, deadline: float | None) -> Connection:
        """Return the present connection if it is clean and quiet, else a new one."""
        connection = self.__connection
        if (
            connection is not None
            and connection.clean
            and not self.__closed
            and (self.__unprepared is None or self.__lock.is_lent())
            and connection.quiet()
        ):
            return connection
        self.__drop()
        if self.__lock.is_lent():
            raise ConnectionFailed(f"the connection to {self.__where()} did not survive its preparation")
        self.__refuse_if_closed()
        connection = self.__unprepared = self.__reconnect(deadline)
        self.__begin(connection)
        self.__connections += 1
        if self.__on_connect is not None:
            try:
                with self.__lock.lent():
                    self.__on_connect(self)
            except BaseException:
                self.__drop()
                raise
        self.__refuse_if_closed()  # by another thread meanwhile, which may have seen the old connection only
        if self.__connection is not connection or not connection.clean:
            raise ConnectionFailed(f"the connection to {self.__where()} did not survive its preparation")
        self.__unprepared = None
        return connection

    def __reconnect(self, deadline: float | None) -> Connection:
        until = min(time.monotonic() + self.__reconnect_timeout, deadline or float("inf"))
        delay = _FIRST_DELAY
        while True:
            try:
                return self.__open(self.__wanted)
            except ConnectionFailed:
                if time.monotonic() + delay >= until or self.__closed:
                    raise
            time.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    def __request(self, timeout: float | None, encode: Callable[..., list[Piece]], *what: Any) -> Any:
        """Send what `encode(conversation, *what)` returns, and return its result."""
        seconds = self.__call_timeout if timeout is None else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        connection = None
        try:
            if not self.__lock.acquire(seconds):
                raise CallTimeout(
                    f"{self.__where()} is busy with a call of another thread for over {seconds:g} s"
                )
            connection = self.__usable(deadline)
            pieces = encode(connection.talk, *what)
            return connection.call(pieces, self.__silence, deadline)
        except RemoteFailure as failure:
            error = failure.error
        finally:
            if connection is not None and not connection.clean:
                self.__drop()
            self.__lock.release()
        raise error

    def __repr__(self) -> str:
        return f"<{self.__own_class.__name__} of {self.get_selected_target() or 'no target'} at {self.__where()}>"

    def _repr_html_(self) -> str:
        from devicedb.html import facts, heading

        talk = self.__talk
        methods = ", ".join(sorted(each for each in talk.methods if not each.startswith("_")))
        return heading(talk.target or "no target", f"at {self.__where()}") + facts([("methods", methods)])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        talk = self.__dict__.get("_Client__talk")  # asked for itself where the constructor has failed
        if talk is None or name.startswith(("__", "_repr_", "_ipython_")):
            raise AttributeError(name)
        raise no_such_method(talk.where, name, talk.methods)

    @staticmethod
    @functools.lru_cache(128)
    def __with_methods(base: Any, names: frozenset[str]) -> Any:
        """Return the class of the clients of a target with these methods.

        So they are found as fast as any method (`__getattr__` costs 5 % of a small call), and `dir` lists them.
        """

        def method(name: str) -> Callable[..., Any]:
            def call(self: Client, *args: Any, **kwargs: Any) -> Any:
                return self.__request(None, Conversation.encode_call, name, args, kwargs)

            call.__name__ = call.__qualname__ = name
            return call

        return type(base.__name__, (base,), {name: method(name) for name in names if not hasattr(base, name)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_rpc()

"""The blocking pc_rpc client."""

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from rexec.wire._pieces import Piece
from rexec.wire._protocol import (
    FEATURES,
    AutoTarget,
    RemoteFailure,
    TargetName,
    bare_method_list,
    choose_target,
    no_such_method,
)
from rexec.wire._session import Session, open_session
from rexec.wire.errors import CallTimeout, ConnectionFailed, WireError, shown_address
from rexec.wire.tls import SimpleSSLConfig

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class Client:
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
        self.__lock = threading.RLock()
        self.__closed = False
        self.__connections = 1
        self.__own_class: Any = type(self)
        self.__session: Session | None = None
        self.__begin(self.__open(target_name))

    def __open(self, target: TargetName) -> Session:
        return open_session(
            self.__host, self.__port, target, self.__ssl_config, self.__handshake_timeout, self.__features
        )

    def __begin(self, session: Session) -> None:
        """Go on with a session, and have the methods of its target."""
        self.__greeted: Session = session
        self.__session = session
        self.__class__ = self.__with_methods(self.__own_class, session.methods)

    def select_rpc_target(self, target_name: TargetName) -> None:
        """Choose the target, once, where the constructor was given None.

        Args:
            target_name: A name, or `AutoTarget`.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        with self.__lock:
            session = self.__session
            if session is None or not session.quiet():
                self.__drop()
                session = self.__open(None)
                self.__begin(session)
            try:
                session.select(target_name)
                self.__begin(session)
            except WireError:
                if session.target is None and choose_is_wrong(session, target_name, self.__where()):
                    raise
                self.__drop()
                raise
            except BaseException:
                self.__drop()
                raise
            self.__wanted = session.target

    def get_selected_target(self) -> str | None:
        """Return the name of the target; None as long as none is chosen."""
        return self.__greeted.target

    def get_rpc_id(self) -> tuple[list[str], str | None]:
        """Return what the server said in its greeting: names of its targets, and its description."""
        greeting = self.__greeted.greeting
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
            result: dict[str, Any] = self.__request(None, Session.encode_method_list)
        except AttributeError:
            return bare_method_list(self.__greeted.methods)
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
        return self.__request(timeout, Session.encode_call, name, args, dict(kwargs or {}))

    @property
    def rpc_connections(self) -> int:
        """How many connections there have been: changes whenever a new one was made."""
        return self.__connections

    def close_rpc(self) -> None:
        """Close the connection. A call of another thread that waits for its answer fails."""
        self.__closed = True
        session, self.__session = self.__session, None
        if session is not None:
            session.close()

    def __where(self) -> str:
        return shown_address(self.__host, self.__port)

    def __drop(self) -> None:
        session, self.__session = self.__session, None
        if session is not None:
            session.close()

    def __refuse_if_closed(self) -> None:
        if self.__closed:
            self.__drop()
            raise ConnectionFailed(f"the client of {self.__where()} is closed")

    def __usable(self, deadline: float | None) -> Session:
        """Return a session that can be used: the present one, else a new one."""
        session = self.__session
        if session is not None and not self.__closed and session.quiet():
            return session
        # The server has ended, or has sent what nobody asked for: nothing on this connection can be trusted.
        self.__drop()
        self.__refuse_if_closed()
        session = self.__reconnect(deadline)
        self.__begin(session)
        self.__refuse_if_closed()  # by another thread meanwhile, which may have seen the old session only
        self.__connections += 1
        if self.__on_connect is not None:
            try:
                self.__on_connect(self)
            except BaseException:
                self.__drop()
                raise
        if self.__session is None:
            raise ConnectionFailed(f"the connection to {self.__where()} did not survive its preparation")
        return self.__session

    def __reconnect(self, deadline: float | None) -> Session:
        until = time.monotonic() + self.__reconnect_timeout
        if deadline is not None:
            until = min(until, deadline)
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
        """Send what `encode(session, *what)` returns, and return its result."""
        seconds = self.__call_timeout if timeout is None else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        if not self.__lock.acquire(True, -1 if seconds is None else max(seconds, 0.0)):
            raise CallTimeout(
                f"{self.__where()} is busy with a call of another thread for over {seconds:g} s"
            )
        try:
            session = self.__usable(deadline)
            pieces = encode(session, *what)
            try:
                return session.exchange(pieces, self.__silence, deadline)
            except RemoteFailure as failure:
                error = failure.error
            except BaseException:
                # Whatever comes on this connection now would be taken for the answer to the next call.
                if self.__session is session:
                    self.__session = None
                session.close()
                raise
        finally:
            self.__lock.release()
        raise error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        greeted = self.__dict__.get("_Client__greeted")  # asked for itself where the constructor has failed
        if greeted is None or name.startswith("__"):
            raise AttributeError(name)
        raise no_such_method(greeted.where, name, greeted.methods)

    @staticmethod
    @functools.lru_cache(128)
    def __with_methods(base: Any, names: frozenset[str]) -> Any:
        """Return the class of the clients of a target with these methods.

        So they are found as fast as any method, where `__getattr__` costs much of a small call; `dir` lists them.
        """

        def method(name: str) -> Callable[..., Any]:
            def call(self: Client, *args: Any, **kwargs: Any) -> Any:
                return self.__request(None, Session.encode_call, name, args, kwargs)

            call.__name__ = call.__qualname__ = name
            return call

        return type(base.__name__, (base,), {name: method(name) for name in names if not hasattr(base, name)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_rpc()


def choose_is_wrong(session: Session, wanted: TargetName, where: str) -> bool:
    """Return whether a choice of target failed before anything was sent."""
    try:
        choose_target(session.greeting, wanted, where)
    except WireError:
        return True
    return False

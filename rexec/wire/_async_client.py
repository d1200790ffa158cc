"""The asyncio pc_rpc client."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Self

from rexec.wire._async_session import AsyncSession, open_async_session
from rexec.wire._pieces import Piece
from rexec.wire._protocol import (
    FEATURES,
    AutoTarget,
    RemoteFailure,
    TargetName,
    bare_method_list,
    no_such_method,
)
from rexec.wire.errors import ConnectionFailed
from rexec.wire.tls import SimpleSSLConfig

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class AsyncioClient:
    """Calls the methods of a remote target: `await client.method(…)`. Calls wait for each other.

    A call that is cancelled, times out or fails on the way closes its connection; the next one makes a new one.

    Args:
        handshake_timeout: Longest time for connecting and each step of the handshake, in seconds.
        call_timeout: Longest time for a whole call, in seconds; None waits for ever.
        reconnect_timeout: How long a call tries to make a new connection, in seconds; 0: one attempt.
        features: Features of the protocol that may be used, of those that both sides have.

    """

    def __init__(
        self,
        *,
        handshake_timeout: float = 10.0,
        call_timeout: float | None = None,
        reconnect_timeout: float = 5.0,
        features: Sequence[str] = FEATURES,
    ) -> None:
        self.__handshake_timeout = handshake_timeout
        self.__call_timeout = call_timeout
        self.__reconnect_timeout = reconnect_timeout
        self.__features = tuple(features)
        self.__lock = asyncio.Lock()
        self.__address: tuple[str, int, SimpleSSLConfig | None] | None = None
        self.__wanted: TargetName = None
        self.__session: AsyncSession | None = None
        self.__connections = 0

    async def connect_rpc(
        self,
        host: str,
        port: int,
        target_name: TargetName = AutoTarget,
        ssl_config: SimpleSSLConfig | None = None,
    ) -> None:
        """Connect.

        Args:
            host: Name or address.
            port: TCP port.
            target_name: Target, `AutoTarget` (the only one there is), or None to choose later.
            ssl_config: TLS, if any.

        Raises:
            ConnectionFailed: No connection could be made.
            IncompatibleServer: The server speaks another protocol, or does not have the target.

        """
        async with self.__lock:
            self.__close()
            self.__address = (host, port, ssl_config)
            self.__wanted = target_name
            self.__session = await self.__open(target_name)

    async def __open(self, target: TargetName) -> AsyncSession:
        if self.__address is None:
            raise ConnectionFailed("this client is not connected: await connect_rpc() first")
        host, port, ssl_config = self.__address
        session = await open_async_session(
            host, port, target, ssl_config, self.__handshake_timeout, self.__features
        )
        self.__connections += 1
        return session

    async def select_rpc_target(self, target_name: TargetName) -> None:
        """Choose the target, once, where `connect_rpc` was given None.

        Args:
            target_name: A name, or `AutoTarget`.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        async with self.__lock:
            session = self.__session
            if session is None or not session.usable:
                session = self.__session = await self.__open(None)
            await session.select(target_name)
            self.__wanted = session.target

    def get_selected_target(self) -> str | None:
        """Return the name of the target; None as long as none is chosen."""
        return None if self.__session is None else self.__session.target

    def get_rpc_id(self) -> tuple[list[str], str | None]:
        """Return what the server said in its greeting: names of its targets, and its description.

        Raises:
            ConnectionFailed: There has been no connection.

        """
        greeting = self.__known().greeting
        return list(greeting.targets), greeting.description

    def get_local_host(self) -> str:
        """Return the address of this end of the connection.

        Raises:
            ConnectionError: There is none.

        """
        return self.__known().local_host()

    async def get_rpc_method_list(self) -> dict[str, Any]:
        """Return {"docstring": …, "methods": {name: (argspec, docstring)}} of the target.

        Raises:
            WireError: The connection failed.
            Exception: What the server raised while it collected them.

        """
        try:
            result: dict[str, Any] = await self.__request(lambda session: session.encode_method_list(), None)
        except AttributeError:
            return bare_method_list(self.__known().methods)
        return result

    async def rpc_call(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the connection is closed when it is over
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
        keywords = dict(kwargs or {})
        return await self.__request(lambda session: session.encode_call(name, args, keywords), timeout)

    @property
    def rpc_connections(self) -> int:
        """How many connections there have been: changes whenever a new one was made."""
        return self.__connections

    async def close_rpc(self) -> None:
        """Close the connection. A call that waits for its answer fails."""
        self.__address = None
        self.__close()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

    def __close(self) -> None:
        if self.__session is not None:
            self.__session.close()

    def __known(self) -> AsyncSession:
        if self.__session is None:
            raise ConnectionFailed("this client is not connected: await connect_rpc() first")
        return self.__session

    async def __usable(self, until: float) -> AsyncSession:
        session = self.__session
        if session is not None and session.usable and self.__address is not None:
            return session
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while True:
            try:
                self.__session = await self.__open(self.__wanted)
            except ConnectionFailed:
                if self.__address is None or loop.time() + delay >= until:
                    raise
            else:
                return self.__session
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def __request(self, encode: Callable[[AsyncSession], list[Piece]], seconds: float | None) -> Any:
        limit = self.__call_timeout if seconds is None else seconds
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with self.__lock:
            reconnect = self.__reconnect_timeout if limit is None else min(limit, self.__reconnect_timeout)
            session = await self.__usable(loop.time() + reconnect)
            pieces = encode(session)
            left = None if limit is None else max(limit - (loop.time() - begin), 0.0)
            try:
                return await session.exchange(pieces, left)
            except RemoteFailure as failure:
                error = failure.error
        raise error

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        session = self.__dict__.get("_AsyncioClient__session")
        if name.startswith("__") or session is None:
            raise AttributeError(f"{name} (this client is not connected: await connect_rpc() first)")
        if name not in session.methods:
            raise no_such_method(session.where, name, session.methods)

        async def proxy(*args: Any, **kwargs: Any) -> Any:
            return await self.__request(lambda session: session.encode_call(name, args, kwargs), None)

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close_rpc()

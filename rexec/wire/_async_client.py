"""The asyncio pc_rpc client."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Self

from rexec.ground import forks
from rexec.wire._async_connection import AsyncConnection, open_async_connection
from rexec.wire._conversation import Conversation
from rexec.wire._forks import OfOneProcess
from rexec.wire._handshake import AutoTarget, TargetName, no_such_method
from rexec.wire._pieces import Piece
from rexec.wire._protocol import FEATURES, RemoteFailure, bare_method_list
from rexec.wire._task_lock import TaskLock
from rexec.wire.errors import CallTimeout, ConnectionFailed, ReentrantCall
from rexec.wire.tls import SimpleSSLConfig

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class AsyncioClient(OfOneProcess):
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
        self.__lock: TaskLock  # made by `__turn`
        self.__home: tuple[asyncio.AbstractEventLoop, int] | None = None
        """Event loop and generation of forks to which lock and connection belong."""
        self.__address: tuple[str, int, SimpleSSLConfig | None] | None = None
        self.__wanted: TargetName = None
        self.__connection: AsyncConnection | None = None
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
        async with self.__turn():
            self.__close()
            self.__address = (host, port, ssl_config)
            self.__wanted = target_name
            self.__connection = await self.__open(target_name)

    async def __open(self, target: TargetName) -> AsyncConnection:
        if self.__address is None:
            raise ConnectionFailed("this client is not connected: await connect_rpc() first")
        host, port, ssl_config = self.__address
        connection = await open_async_connection(
            host, port, target, ssl_config, self.__handshake_timeout, self.__features
        )
        self.__connections += 1
        return connection

    async def select_rpc_target(self, target_name: TargetName) -> None:
        """Choose the target, once, where `connect_rpc` was given None.

        Args:
            target_name: A name, or `AutoTarget`.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        async with self.__turn():
            connection = self.__connection
            if connection is None or not connection.usable:
                connection = self.__connection = await self.__open(None)
            await connection.choose(target_name, self.__handshake_timeout)
            self.__wanted = connection.talk.target

    def get_selected_target(self) -> str | None:
        """Return the name of the target; None as long as none is chosen."""
        return None if self.__connection is None else self.__connection.talk.target

    def get_rpc_id(self) -> tuple[list[str], str | None]:
        """Return what the server said in its greeting: names of its targets, and its description.

        Raises:
            ConnectionFailed: There has been no connection.

        """
        greeting = self.__known().talk.greeting
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
            result: dict[str, Any] = await self.__request(lambda talk: talk.encode_method_list(), None)
        except AttributeError:
            return bare_method_list(self.__known().talk.methods)
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
        return await self.__request(lambda talk: talk.encode_call(name, args, keywords), timeout)

    @property
    def rpc_connections(self) -> int:
        """Number of connections so far; a change shows a new one."""
        return self.__connections

    async def close_rpc(self) -> None:
        """Close the connection. A call that waits for its answer fails."""
        self.__address = None
        self.__close()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

    def __turn(self) -> TaskLock:
        """Return the lock of calls in the running loop; begin anew in a new loop or process.

        Raises:
            WireError: The loop is not one in which this client can be used.

        """
        here = asyncio.get_running_loop(), forks.generation
        if self.__home != here:
            if self.__home is not None:
                loop, generation = self.__home
                if loop is here[0]:
                    raise ReentrantCall("this event loop belongs to the parent process: use a new one here")
                if generation == here[1] and loop.is_running():
                    raise ReentrantCall("this client is in use on another event loop, which still runs")
                if generation == here[1]:
                    self.__close()
            self.__lock = TaskLock()
            if self.__connection is not None:
                self.__connection.clean = False
            self.__home = here
        return self.__lock

    def __close(self) -> None:
        if self.__connection is not None:
            self.__connection.close()

    def __known(self) -> AsyncConnection:
        if self.__connection is None:
            raise ConnectionFailed("this client is not connected: await connect_rpc() first")
        return self.__connection

    async def __usable(self, until: float) -> AsyncConnection:
        connection = self.__connection
        if connection is not None and connection.usable and self.__address is not None:
            return connection
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while True:
            try:
                self.__connection = await self.__open(self.__wanted)
            except ConnectionFailed:
                if self.__address is None or loop.time() + delay >= until:
                    raise
            else:
                return self.__connection
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def __request(self, encode: Callable[[Conversation], list[Piece]], seconds: float | None) -> Any:
        limit = self.__call_timeout if seconds is None else seconds
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with self.__turn():
            reconnect = self.__reconnect_timeout if limit is None else min(limit, self.__reconnect_timeout)
            connection = await self.__usable(loop.time() + reconnect)
            pieces = encode(connection.talk)
            left = None if limit is None else limit - (loop.time() - begin)
            if left is not None and left <= 0:
                raise CallTimeout(f"{connection.talk.where} is busy with other calls for over {limit:g} s")
            try:
                return await connection.call(pieces, left)
            except RemoteFailure as failure:
                error = failure.error
        raise error

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        connection = self.__dict__.get("_AsyncioClient__connection")
        if name.startswith("__") or connection is None:
            raise AttributeError(f"{name} (this client is not connected: await connect_rpc() first)")
        if name not in connection.talk.methods:
            raise no_such_method(connection.talk.where, name, connection.talk.methods)

        async def proxy(*args: Any, **kwargs: Any) -> Any:
            return await self.__request(lambda talk: talk.encode_call(name, args, kwargs), None)

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close_rpc()

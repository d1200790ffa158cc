"""A pc_rpc session of the asyncio client. Data are received straight into the place where they stay."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final

from rexec.wire._conversation import GREETING, Conversation
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._listen import tune
from rexec.wire._pieces import Piece, batches
from rexec.wire._protocol import BANNER, FEATURES, TargetName
from rexec.wire.errors import (
    CallTimeout,
    ConnectionBroken,
    ConnectionFailed,
    FormatError,
    WireError,
    checked_host,
    reason_of,
    shown_address,
)
from rexec.wire.tls import SimpleSSLConfig

_CHUNK: Final = 1 << 20


class FrameProtocol(asyncio.BufferedProtocol):
    """Receives messages, one for each that was asked for; anything else breaks the connection."""

    def __init__(self) -> None:
        self.reader = FrameReader()
        self.transport: asyncio.Transport | None = None
        self.lost: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Frame] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            tune(sock)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self.reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Account for bytes that came."""
        if self.lost is not None:
            return
        try:
            frame = self.reader.take(nbytes)
        except WireError as error:
            self.fail(error)
            return
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.fail(FormatError("bytes came that nobody asked for"))
        elif frame is not None:
            if not self.reader.idle:
                self.fail(FormatError("more than one answer came"))
                return
            self._waiter = None
            waiter.set_result(frame)

    def eof_received(self) -> bool:
        """Treat the end of the stream as the end of the connection."""
        self.fail(ConnectionBroken("the server closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.fail(ConnectionBroken(f"connection lost: {exc or 'closed'}"))

    def pause_writing(self) -> None:
        """Stop sending for a while."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()

    def fail(self, error: Exception) -> None:
        """Break the connection, for good."""
        if self.lost is None:
            self.lost = error
        if self.transport is not None:
            self.transport.abort()
        self._writable.set()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(self.lost)

    async def exchange(self, pieces: Sequence[Piece]) -> Frame:
        """Send a message and return the one that answers it; break the connection if that is given up.

        Raises:
            WireError: The connection is broken.

        """
        if self.lost is not None or self.transport is None:
            raise ConnectionBroken(str(self.lost))
        waiter: asyncio.Future[Frame] = self._loop.create_future()
        self._waiter = waiter
        try:
            for view in itertools.chain.from_iterable(batches(pieces)):
                for start in range(0, len(view), _CHUNK):
                    self.transport.write(view[start : start + _CHUNK])
                    if not self._writable.is_set():
                        await self._writable.wait()
                    if waiter.done():
                        break
            return await waiter
        except BaseException as error:
            self.fail(ConnectionBroken(f"the call was given up ({type(error).__name__})"))
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # seen: nobody else will
            raise


class AsyncSession(Conversation):
    """Speaks pc_rpc over one connection, until that is closed.

    Args:
        protocol: The connection.
        where: host:port, for errors.
        handshake_timeout: Longest time for each step of the handshake, in seconds.
        features: Those that may be used.

    """

    def __init__(
        self,
        protocol: FrameProtocol,
        where: str,
        handshake_timeout: float,
        features: Sequence[str] = FEATURES,
    ) -> None:
        super().__init__(where, features)
        self._protocol = protocol
        self._handshake_timeout = handshake_timeout

    async def greet(self) -> None:
        """Say what protocol this is, and take the server's greeting.

        Raises:
            ConnectionFailed: There was none.
            IncompatibleServer: The server speaks something else.

        """
        self.greeted(await self._handshake(BANNER, GREETING))

    async def select(self, wanted: TargetName) -> None:
        """Choose the target.

        Raises:
            ConnectionFailed: The server did not answer.
            IncompatibleServer: The server does not have it.

        """
        choice = self.choose(wanted)
        if choice is None:
            return
        name, line = choice
        self._protocol.reader.raw = self.codec.raw
        self.chosen(name, await self._handshake(line, f"target {name!r}"))

    async def _handshake(self, line: bytes, what: str) -> Frame:
        try:
            async with asyncio.timeout(self._handshake_timeout):
                return await self._protocol.exchange([line])
        except TimeoutError as error:
            raise self.silent(what, self._handshake_timeout) from error
        except WireError as error:
            raise self.refused(what, error) from error

    @property
    def usable(self) -> bool:
        """Whether the connection stands."""
        return self._protocol.lost is None

    async def exchange(self, pieces: Sequence[Piece], seconds: float | None) -> Any:
        """Send a request and return its result.

        Raises:
            RemoteFailure: The method raised.
            WireError: The connection is of no use any more.

        """
        limit = asyncio.timeout(seconds)
        try:
            if seconds is None:
                frame = await self._protocol.exchange(pieces)
            else:
                async with limit:
                    frame = await self._protocol.exchange(pieces)
        except WireError as error:
            raise ConnectionBroken(f"connection to {self.where}: {error}") from error
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise CallTimeout(f"{self.where} did not answer in {seconds:g} s") from error
        try:
            return self.result(frame)
        except FormatError:
            self.close()
            raise

    def local_host(self) -> str:
        """Return the address of this end."""
        transport = self._protocol.transport
        name = None if transport is None else transport.get_extra_info("sockname")
        if not name:
            raise ConnectionBroken(f"the connection to {self.where} is closed")
        return str(name[0])

    def close(self) -> None:
        """Close the connection."""
        self._protocol.fail(ConnectionBroken("closed by this side"))


async def open_async_session(
    host: str,
    port: int,
    target: TargetName,
    ssl_config: SimpleSSLConfig | None,
    seconds: float,
    features: Sequence[str] = FEATURES,
) -> AsyncSession:
    """Connect, shake hands and choose a target.

    Raises:
        ConnectionFailed: That did not work within the time.
        IncompatibleServer: The server speaks something else, or does not have the target.

    """
    where = shown_address(host, port)
    loop = asyncio.get_running_loop()
    try:
        context = None if ssl_config is None else ssl_config.create_client_context()
        async with asyncio.timeout(seconds):
            _, protocol = await loop.create_connection(
                FrameProtocol, checked_host(host), port, ssl=context, server_hostname="" if context else None
            )
    except TimeoutError as error:
        raise ConnectionFailed(f"{where} did not accept a connection in {seconds:g} s") from error
    except OSError as error:
        raise ConnectionFailed(f"cannot connect to {where}: {reason_of(error)}") from error
    session = AsyncSession(protocol, where, seconds, features)
    try:
        if ssl_config is not None and protocol.transport is not None:
            _check_peer(protocol.transport, ssl_config, where)
        await session.greet()
        await session.select(target)
    except BaseException:
        session.close()
        raise
    return session


def _check_peer(transport: asyncio.Transport, ssl_config: SimpleSSLConfig, where: str) -> None:
    secured = transport.get_extra_info("ssl_object")
    try:
        ssl_config.check_peer(secured.getpeercert(True))
    except OSError as error:
        raise ConnectionFailed(f"no TLS with {where}: {error}") from error

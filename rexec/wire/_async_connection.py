"""One connection of the asyncio client, used for one exchange at a time, and ended by the first error."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final

from rexec.wire._frame_protocol import FrameProtocol
from rexec.wire._framing import Frame
from rexec.wire._handshake import ClientHandshake, TargetName
from rexec.wire._pieces import Piece, batches
from rexec.wire._protocol import FEATURES, RemoteFailure
from rexec.wire._reach_async import reach_async
from rexec.wire.errors import CallTimeout, ConnectionBroken, FormatError, WireError, shown_address
from rexec.wire.tls import SimpleSSLConfig

_CHUNK: Final = 1 << 20


class _Exchanges(FrameProtocol):
    """Receives one message for each that was sent; anything else ends the connection."""

    def __init__(self) -> None:
        super().__init__()
        self._waiter: asyncio.Future[Frame] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self._waiter is None or self._waiter.done():
                self.fail(FormatError("said what nobody asked for"))
            else:
                super().buffer_updated(nbytes)
        except BaseException as error:
            # Interrupted with the answer half read: the call that waits for it would wait for ever.
            self.fail(ConnectionBroken(f"the reception was given up ({type(error).__name__})"))
            raise

    def frame_received(self, frame: Frame) -> None:
        if self._waiter is None or not self.reader.idle:
            raise FormatError("said more than was asked for")
        self._waiter.set_result(frame)
        self._waiter = None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def fail(self, error: Exception) -> None:
        super().fail(error)
        self._writable.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self.failure or error)
        self._waiter = None

    async def exchange(self, pieces: Sequence[Piece]) -> Frame:
        """Send a message and return its answer; end the connection if the call is cancelled.

        Raises:
            WireError: The connection has ended.

        """
        if self.failure is not None or self.transport is None:
            failure = self.failure or EOFError()
            raise ConnectionBroken.because(str(failure) or "not connected", failure)
        waiter: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
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
                waiter.exception()  # marks it as retrieved
            raise


class AsyncConnection:
    """Speaks pc_rpc, until it is closed. Made by `open_async_connection`.

    Args:
        protocol: The connection.
        where: host:port, for errors.
        target: The one to choose, or None to choose later.
        features: Features that may be used.

    Attributes:
        talk: What client and server have agreed on.
        clean: Whether all that was sent has been answered, as of `Connection`.

    """

    def __init__(self, protocol: _Exchanges, where: str, target: TargetName, features: Sequence[str]) -> None:
        self.clean = False
        self._protocol = protocol
        self._handshake = ClientHandshake(where, protocol.reader, target, features)
        self.talk = self._handshake.conversation

    async def shake_hands(self, seconds: float) -> None:
        """Take the steps of the handshake, up to the choice of a target if that is for later.

        Raises:
            ConnectionFailed: One was not answered in these seconds.
            IncompatibleServer: The server speaks something else, or does not have the target.

        """
        await self._steps(self._handshake.begin(), seconds)

    async def choose(self, target: TargetName, seconds: float) -> None:
        """Choose a target where that was left for later; errors as of `shake_hands`."""
        await self._steps(self._handshake.choose(target), seconds)

    async def _steps(self, line: bytes | None, seconds: float) -> None:
        self.clean = line is None
        while line is not None:
            with self._handshake.waiting(seconds):
                async with asyncio.timeout(seconds):
                    frame = await self._protocol.exchange([line])
                line = self._handshake.take(frame)
        self.clean = True

    @property
    def usable(self) -> bool:
        """Whether a call can be sent: nothing is unanswered, and the connection is open."""
        return self.clean and self._protocol.failure is None

    async def call(self, pieces: Sequence[Piece], seconds: float | None) -> Any:
        """Send a request and return its result.

        Raises:
            RemoteFailure: The method raised.
            WireError: The connection is unusable.

        """
        limit = asyncio.timeout(seconds)
        self.clean = False
        try:
            if seconds is None:
                frame = await self._protocol.exchange(pieces)
            else:
                async with limit:
                    frame = await self._protocol.exchange(pieces)
        except WireError as error:
            raise ConnectionBroken.because(f"connection to {self.talk.where}: {error}", error) from error
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise CallTimeout(f"{self.talk.where} did not answer in {seconds:g} s") from error
        try:
            result = self.talk.result(frame)
        except RemoteFailure:
            self.clean = True
            raise
        except FormatError:
            self.close()
            raise
        self.clean = True
        return result

    def local_host(self) -> str:
        """Return the address of this end."""
        transport = self._protocol.transport
        name = None if transport is None else transport.get_extra_info("sockname")
        if not name:
            raise ConnectionBroken(f"the connection to {self.talk.where} is closed")
        return str(name[0])

    def close(self) -> None:
        self._protocol.fail(ConnectionBroken("closed by this side"))


async def open_async_connection(
    host: str,
    port: int,
    target: TargetName,
    ssl_config: SimpleSSLConfig | None,
    seconds: float,
    features: Sequence[str] = FEATURES,
) -> AsyncConnection:
    """Connect, shake hands and choose a target.

    Raises:
        ConnectionFailed: That did not work within the time, which each step has for itself.
        IncompatibleServer: The server speaks something else, or does not have the target.

    """
    protocol = await reach_async(host, port, seconds, ssl_config, _Exchanges)
    connection = AsyncConnection(protocol, shown_address(host, port), target, features)
    try:
        await connection.shake_hands(seconds)
    except BaseException:
        connection.close()
        raise
    return connection

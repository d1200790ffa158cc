"""The receiving end of sync_struct and broadcast: lines of any length, in either version of PYON."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from rexec.wire._framing import FrameReader
from rexec.wire._listen import tune
from rexec.wire._pyon_decode import decode_line
from rexec.wire._pyon_v1_parser import parse
from rexec.wire.errors import ConnectionFailed, WireError, checked_host, reason_of, shown_address
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)


class LineProtocol(asyncio.BufferedProtocol):
    """Decodes each line that arrives and hands it on.

    Args:
        received: Called with each value; an exception it raises ends the connection.
        lost: Called once, when the connection is lost other than by `close`.

    """

    def __init__(self, received: Callable[[Any], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._old = False
        self._closing = False
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            tune(sock)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Account for bytes that came."""
        try:
            frame = self._reader.take(nbytes)
            while frame is not None and not self._closing:
                self._received(self._decoded(frame.line))
                frame = self._reader.take()
        except (TypeError, ValueError, LookupError, WireError) as error:
            _log.error("what came cannot be applied, the connection is closed: %s", error)
            self._abort()
        except Exception:
            _log.exception("error while handling what came: the connection is closed")
            self._abort()

    def _decoded(self, line: bytes | bytearray) -> Any:
        if not self._old:
            try:
                return decode_line(line)
            except ValueError:
                # Not JSON: a publisher of the older kind. What is both has one meaning in both.
                value = parse(line)
                self._old = True
                return value
        return parse(line)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def eof_received(self) -> bool:
        """Treat the end of the stream as the end of the connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection is lost, unless it was closed here."""
        if not self.closed.done():
            self.closed.set_result(None)
        if not self._closing:
            self._lost()

    async def close(self) -> None:
        """Close the connection."""
        self._closing = True
        self._abort()
        await self.closed


class Follower:
    """What subscribers and receivers have in common: a connection, and callbacks.

    Args:
        what: What is followed, for errors.
        notify_cb: Called with each value; a function or several.
        disconnect_cb: Called when the connection is lost.

    """

    def __init__(
        self,
        what: str,
        notify_cb: Callable[[Any], Any] | Iterable[Callable[[Any], Any]],
        disconnect_cb: Callable[[], Any] | None,
    ) -> None:
        self.notify_cbs = [notify_cb] if callable(notify_cb) else list(notify_cb)
        self.disconnect_cb = disconnect_cb
        self._what = what
        self._protocol: LineProtocol | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._protocol is not None:
            await self._protocol.close()
            self._protocol = None

    def _notify(self, value: Any) -> None:
        for callback in self.notify_cbs:
            try:
                callback(value)
            except Exception:
                _log.exception("a callback of the %s failed", self._what)

    def _lost(self) -> None:
        if self.disconnect_cb is not None:
            self.disconnect_cb()


async def connect_lines(
    host: str,
    port: int,
    ssl_config: SimpleSSLConfig | None,
    received: Callable[[Any], None],
    lost: Callable[[], None],
    timeout: float,  # noqa: ASYNC109 - part of the error's text
) -> LineProtocol:
    """Return a new connection.

    Raises:
        ConnectionFailed: Nobody listens, nobody answers, or TLS was refused.

    """
    loop = asyncio.get_running_loop()
    try:
        context = None if ssl_config is None else ssl_config.create_client_context()
        async with asyncio.timeout(timeout):
            transport, protocol = await loop.create_connection(
                lambda: LineProtocol(received, lost),
                checked_host(host),
                port,
                ssl=context,
                server_hostname="" if context else None,
            )
        if ssl_config is not None:
            try:
                ssl_config.check_peer(transport.get_extra_info("ssl_object").getpeercert(True))
            except OSError:
                await protocol.close()
                raise
    except TimeoutError as error:
        raise ConnectionFailed(
            f"{shown_address(host, port)} did not accept a connection in {timeout:g} s"
        ) from error
    except OSError as error:
        raise ConnectionFailed(
            f"cannot connect to {shown_address(host, port)}: {reason_of(error)}"
        ) from error
    return protocol

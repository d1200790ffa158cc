"""A proxy between clients and real controllers that records their calls. It forwards every byte unchanged."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from rexec.ground.loop_thread import LoopThread
from rexec.record.errors import RecordingError
from rexec.record.offers import Source
from rexec.record.recording import RecordingWriter
from rexec.record.records import record_of, unread
from rexec.record.relay import CHUNK, close, open_real, pass_on
from rexec.wire._listen import listen
from rexec.wire.tap import Exchange, Tap
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT: Final = 10.0


class Recorder:
    """Proxies of several controllers, in one thread. A context.

    Args:
        sources: The controllers.
        writer: The recording; it is closed with this object.
        host: Where the proxies listen.
        ports: Port of each proxy; 0: the system gives one.
        tls: Files of the proxies' side; None: clients use no TLS.

    """

    def __init__(
        self,
        sources: Sequence[Source],
        writer: RecordingWriter,
        host: str,
        ports: Mapping[str, int],
        tls: SimpleSSLConfig | None = None,
    ) -> None:
        self._sources = list(sources)
        self._writer = writer
        self._host = host
        self._ports = ports
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._number = 0
        self.calls: dict[str, int] = dict.fromkeys((each.name for each in sources), 0)
        """Number of recorded calls, by controller."""
        self.failure: Exception | None = None
        """Error that ended the recording early."""
        self.addresses: dict[str, tuple[str, int]] = {}
        """Where the proxies listen, by controller."""
        self._thread = LoopThread(self._serving, name="recorder")

    def __enter__(self) -> "Recorder":
        try:
            for source in self._sources:
                self._describe(source)
            self._thread.start()
        except BaseException:
            self._writer.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and the recording."""
        try:
            self._thread.close()
        finally:
            self._writer.close()

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the recording has ended by itself meanwhile."""
        return self._thread.wait(seconds)

    def _describe(self, source: Source) -> None:
        endpoint = source.endpoint
        server = {"host": endpoint.host, "port": endpoint.port, "description": source.description}
        self._writer.write(
            {"kind": "server", "controller": source.name, "targets": list(source.targets), **server}
        )
        for target, (names, listed) in source.methods.items():
            self._writer.write(
                {
                    "kind": "target",
                    "controller": source.name,
                    "target": target,
                    "methods": sorted(names),
                    "list": listed,
                }
            )

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        context = self._tls.create_server_context() if self._tls is not None else None
        servers: list[asyncio.Server] = []
        try:
            for source in self._sources:
                sockets = self._listen(source)
                host, port = sockets[0].getsockname()[:2]
                self.addresses[source.name] = (str(host), int(port))
                connected = partial(self._connected, source)
                servers += [
                    await asyncio.start_server(connected, sock=each, ssl=context, limit=CHUNK)
                    for each in sockets
                ]
            yield
        finally:
            for server in servers:
                server.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections, timeout=5.0)
            await asyncio.sleep(0)  # the loop lets closed sockets go in its next iteration

    def _listen(self, source: Source) -> list[socket.socket]:
        try:
            return listen(self._host, self._ports.get(source.name, 0), secured=self._tls is not None)
        except OSError as error:
            raise RecordingError(f"the proxy of {source.name} {error.strerror or error}") from error

    async def _connected(
        self, source: Source, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._relay(source, reader, writer)
        except asyncio.CancelledError:
            return  # the recorder ends: asyncio of Python 3.11 logs a cancelled connection as an error

    async def _relay(
        self, source: Source, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        endpoint = source.endpoint
        self._number += 1
        number, tap = self._number, Tap()
        try:
            theirs, to_them = await asyncio.wait_for(open_real(endpoint), _CONNECT_TIMEOUT)
        except (OSError, TimeoutError) as error:
            logger.warning("%s: connection %d: %s", source.name, number, error or "no connection in time")
            await close(writer)
            return

        def from_client(data: bytes) -> None:
            tap.from_client(data)

        def from_server(data: bytes) -> None:
            for exchange in tap.from_server(data):
                self._keep(source, number, exchange)

        ways = [
            asyncio.ensure_future(pass_on(reader, to_them, from_client)),
            asyncio.ensure_future(pass_on(theirs, writer, from_server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # The other direction may still carry bytes sent before the end.
            await asyncio.wait(ways, timeout=1.0)
        finally:
            for way in ways:
                way.cancel()
            await close(writer, to_them)
            if tap.problem is not None:
                logger.warning(
                    "%s: connection %d is not recorded from here on: %s", source.name, number, tap.problem
                )

    def _keep(self, source: Source, number: int, exchange: Exchange) -> None:
        """Append an exchange to the recording, before its answer is passed on."""
        record = record_of(source.name, number, exchange, self._writer.began)
        if record is None:
            return
        try:
            try:
                self._writer.write(record)
            except TypeError as error:  # a type of the application, which this process cannot decode
                self._writer.write(
                    {**unread(source.name, number, exchange, self._writer.began), "problem": str(error)}
                )
        except RecordingError as error:
            self.failure = error
            self._thread.end()
            return
        if record["kind"] == "unread":
            logger.warning("%s: a call was not kept: %s", source.name, record["problem"])
        else:
            self.calls[source.name] += 1

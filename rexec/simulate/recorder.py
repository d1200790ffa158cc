"""A proxy between clients and a real controller that keeps what they say. It passes every byte on as it came."""

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from rexec.simulate.errors import RecordingError
from rexec.simulate.offers import Source
from rexec.simulate.recording import RecordingWriter
from rexec.simulate.records import record_of, unread
from rexec.simulate.relay import CHUNK, check_peer, close, open_real, pass_on
from rexec.wire.tap import Exchange, Tap
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT: Final = 10.0


class Recorder:
    """Proxies of some controllers, in a thread of their own. A context.

    Args:
        sources: The controllers.
        writer: Keeps what is said; it is closed with this object.
        host: Where the proxies listen.
        ports: Port of each proxy; 0: the system gives one.
        tls: Files of the proxies' side where clients are to speak TLS.

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
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._number = 0
        self.calls: dict[str, int] = dict.fromkeys((each.name for each in sources), 0)
        """Number of calls that were kept, by controller."""
        self.failure: Exception | None = None
        """What ended the recording before its time."""
        self.addresses: dict[str, tuple[str, int]] = {}
        """Where the proxies listen, by controller."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> "Recorder":
        for source in self._sources:
            self._describe(source)
        self._thread.start()
        self._ready.wait()
        if self.failure is not None:
            self._thread.join()
            self._writer.close()
            raise self.failure
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and the recording."""
        with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._writer.close()

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the recording has ended by itself meanwhile."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

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

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except (OSError, RecordingError) as error:
            self.failure = error if isinstance(error, RecordingError) else RecordingError(str(error))
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        context = self._tls.create_server_context() if self._tls is not None else None
        servers = []
        try:
            for source in self._sources:
                server = await self._listen(source, context)
                servers.append(server)
                host, port = server.sockets[0].getsockname()[:2]
                self.addresses[source.name] = (str(host), int(port))
            self._ready.set()
            await self._end.wait()
        finally:
            for server in servers:
                server.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections, timeout=5.0)
            await asyncio.sleep(0)  # closed sockets are let go by the loop's next turn
        if self.failure is not None:
            raise self.failure

    async def _listen(self, source: Source, context: ssl.SSLContext | None) -> asyncio.Server:
        port = self._ports.get(source.name, 0)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            await self._relay(source, reader, writer)

        try:
            return await asyncio.start_server(connected, self._host, port, ssl=context, limit=CHUNK)
        except OSError as error:
            raise RecordingError(
                f"the proxy of {source.name} cannot listen on {self._host}:{port}: {error}"
            ) from error

    async def _relay(
        self, source: Source, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        endpoint = source.endpoint
        self._number += 1
        number, tap = self._number, Tap()
        try:
            if self._tls is not None:
                check_peer(self._tls, writer)
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
            # The other way still carries what was said before the end.
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
            except TypeError as error:  # an application's own type, which travels but is not known here
                self._writer.write(
                    {**unread(source.name, number, exchange, self._writer.began), "problem": str(error)}
                )
        except RecordingError as error:
            self.failure = error
            self._end.set()
            return
        if record["kind"] == "unread":
            logger.warning("%s: a call was not kept: %s", source.name, record["problem"])
        else:
            self.calls[source.name] += 1

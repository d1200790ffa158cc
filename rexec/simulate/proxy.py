"""A proxy between clients and a real controller that keeps what they say. It passes every byte on as it came."""

import asyncio
import contextlib
import dataclasses
import logging
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from devicedb import DeviceDatabase, Endpoint
from rexec.devices.connect import connect, ssl_config
from rexec.simulate.errors import RecordingError
from rexec.simulate.recording import RecordingWriter
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tap import Exchange, Tap
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

_CHUNK: Final = 1 << 18
_CONNECT_TIMEOUT: Final = 10.0


@dataclasses.dataclass(frozen=True)
class Source:
    """A real controller that is to be recorded.

    Attributes:
        endpoint: Where it is.
        targets: Names of its targets.
        description: What it says of itself.
        methods: Names and method list of each target.

    """

    endpoint: Endpoint
    targets: tuple[str, ...]
    description: str | None
    methods: Mapping[str, tuple[frozenset[str], Any]]

    @property
    def name(self) -> str:
        """Name of the controller."""
        return self.endpoint.controller


def ask(database: DeviceDatabase, name: str, timeout: float = _CONNECT_TIMEOUT) -> Source:
    """Ask a controller what it offers.

    Args:
        database: The device database.
        name: The controller, an alias of it, or a target.
        timeout: Seconds for each step of connecting, and for each answer.

    Raises:
        DeviceDBError: The name is wrong.
        DeviceError: It cannot be reached, or lacks the target.
        RecordingError: It does not say what it offers.

    """
    endpoint = database.endpoint(database.endpoint(name).controller)
    client: Any = connect(
        dataclasses.replace(endpoint, best_effort=False), database.raw[endpoint.controller], timeout
    )
    try:
        targets, description = client.get_rpc_id()
    finally:
        client.close_rpc()
    methods = {}
    for target in targets:
        try:
            one = Client(
                endpoint.host,
                endpoint.port,
                target,
                timeout,
                ssl_config(endpoint.tls),
                handshake_timeout=timeout,
            )
            try:
                listed = one.get_rpc_method_list()
            finally:
                one.close_rpc()
        except WireError as error:
            raise RecordingError(
                f"{endpoint.controller} at {endpoint.address}: target {target!r} does not say its methods: {error}"
            ) from error
        methods[target] = (frozenset(listed["methods"]), listed)
    return Source(endpoint, tuple(targets), description, methods)


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
            return await asyncio.start_server(connected, self._host, port, ssl=context, limit=_CHUNK)
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
                _check_peer(self._tls, writer)
            theirs, to_them = await asyncio.wait_for(_open(endpoint), _CONNECT_TIMEOUT)
        except (OSError, TimeoutError) as error:
            logger.warning("%s: connection %d: %s", source.name, number, error or "no connection in time")
            await _close(writer)
            return

        def from_client(data: bytes) -> None:
            tap.from_client(data)

        def from_server(data: bytes) -> None:
            for exchange in tap.from_server(data):
                self._keep(source, number, exchange)

        ways = [
            asyncio.ensure_future(_pass(reader, to_them, from_client)),
            asyncio.ensure_future(_pass(theirs, writer, from_server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # The other way still carries what was said before the end.
            await asyncio.wait(ways, timeout=1.0)
        finally:
            for way in ways:
                way.cancel()
            await _close(writer, to_them)
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


def record_of(controller: str, number: int, exchange: Exchange, began: float) -> dict[str, Any] | None:
    """Return the record of an exchange, None for one that is not kept: questions for the method list.

    Args:
        controller: Name.
        number: Of the connection.
        exchange: What was said.
        began: When the recording began (`time.monotonic`).

    """
    request, answer = exchange.request, exchange.answer
    if not isinstance(request, dict) or not isinstance(answer, dict):
        return unread(controller, number, exchange, began)
    if request.get("action") != "call":
        return None
    record = {
        "kind": "call",
        "controller": controller,
        "target": exchange.target,
        "connection": number,
        "encoding": exchange.encoding,
        "began": exchange.began - began,
        "seconds": exchange.seconds,
        "name": request.get("name"),
        "args": tuple(request.get("args", ())),
        "kwargs": request.get("kwargs", {}),
    }
    if answer.get("status") == "ok":
        return {**record, "ret": answer.get("ret")}
    return {**record, "exception": answer.get("exception")}


def unread(controller: str, number: int, exchange: Exchange, began: float) -> dict[str, Any]:
    """Return the record of an exchange that could not be read."""
    return {
        "kind": "unread",
        "controller": controller,
        "target": exchange.target,
        "connection": number,
        "began": exchange.began - began,
        "problem": exchange.problem or "no message of the protocol",
    }


async def _open(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the real controller."""
    tls = ssl_config(endpoint.tls)
    if tls is None:
        return await asyncio.open_connection(endpoint.host, endpoint.port, limit=_CHUNK)
    context = tls.create_client_context()
    reader, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, limit=_CHUNK, ssl=context, server_hostname=""
    )
    _check_peer(tls, writer)
    return reader, writer


async def _close(*writers: asyncio.StreamWriter) -> None:
    """Close connections, and give them a moment to say so."""
    for writer in writers:
        writer.close()
    for writer in writers:
        try:
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            logger.debug("closing a connection: %s", error)


def _check_peer(tls: SimpleSSLConfig, writer: asyncio.StreamWriter) -> None:
    socket_like = writer.get_extra_info("ssl_object")
    try:
        tls.check_peer(socket_like.getpeercert(binary_form=True) if socket_like is not None else None)
    except ssl.SSLError:
        writer.close()
        raise


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Any) -> None:
    """Pass bytes on until their end; what listens hears them before the other side does."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # one side has gone: the connection is over
        while data := await reader.read(_CHUNK):
            heard(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

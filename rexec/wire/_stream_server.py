"""A server that sends lines to whoever subscribed to a name: what sync_struct and broadcast have in common."""

import asyncio
import collections
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

from rexec.wire._limits import Limits
from rexec.wire._listen import addresses_of, listen, tune
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)
WHOLE: Final = object()
"""Stands for everything that is followed, where a line is not about a part of it."""


class Subscription:
    """One subscriber: the lines that it still has to get."""

    def __init__(self, name: str, peer: str) -> None:
        self.name = name
        self.peer = peer
        self.lines: collections.deque[tuple[Any, bytes]] = collections.deque()
        """What each line is about, and the line."""
        self.size = 0
        """Bytes in `lines`."""
        self.dropped = 0
        """Lines that the subscriber was too slow for."""
        self.stale: dict[Any, None] = {}
        """What has to be sent anew because lines about it were dropped."""
        self.wanted = asyncio.Event()

    def put(self, line: bytes, part: Any = WHOLE) -> None:
        """Add a line about a part of what is followed."""
        self.lines.append((part, line))
        self.size += len(line)
        self.wanted.set()

    def take(self) -> bytes:
        """Remove and return the oldest line."""
        _, line = self.lines.popleft()
        self.size -= len(line)
        return line

    def drop(self, part: Any = WHOLE) -> None:
        """Drop what was not sent yet about a part, or everything, and count it."""
        kept = [] if part is WHOLE else [each for each in self.lines if each[0] is WHOLE or each[0] != part]
        self.dropped += len(self.lines) - len(kept)
        self.lines = collections.deque(kept)
        self.size = sum(len(line) for _, line in kept)
        self.wanted.set()


class StreamServer:
    """Listens, checks the banner and the name, and sends each subscriber its lines.

    Args:
        banner: First line that a client must send.
        limits: What clients can make the server hold; of a subscriber's lines, which are two, nothing more is read.

    """

    def __init__(self, banner: bytes, limits: Limits | None = None) -> None:
        self._banner = banner
        self._limits = limits or Limits()
        self._shaking: dict[asyncio.Task[None], None] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, list[Subscription]] = {}
        self.addresses: list[tuple[str, int]] = []
        """Where the server listens: (address, port)."""

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return self.addresses[0][1]

    async def start(
        self, host: str | Sequence[str] | None, port: int, ssl_config: SimpleSSLConfig | None = None
    ) -> None:
        """Begin to listen.

        Args:
            host: Name or address, several of them, or None for all interfaces.
            port: TCP port; 0 lets the system choose (see `port`).
            ssl_config: TLS, if any.

        Raises:
            OSError: The address cannot be listened on, or a TLS file cannot be read.

        """
        context = None if ssl_config is None else ssl_config.create_server_context()
        sockets = listen(host, port, secured=ssl_config is not None)
        self.addresses = addresses_of(sockets)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if self._admitted(str(writer.get_extra_info("peername"))):
                    await self._serve(reader, writer, ssl_config)
            except asyncio.CancelledError:
                return  # the server stops, or others need the place
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                _log.debug("subscriber lost: %s", error)
            finally:
                writer.transport.abort()

        handshake = None if context is None else self._limits.handshake_timeout
        self._servers = [
            await asyncio.start_server(
                connected,
                sock=one,
                limit=self._limits.handshake_line,
                ssl=context,
                ssl_handshake_timeout=handshake,
            )
            for one in sockets
        ]

    def _admitted(self, peer: str) -> bool:
        """Take a new connection in, or not, where there are many; the caller is its task."""
        task: asyncio.Task[None] | None = asyncio.current_task()
        if task is None:
            return False
        if len(self._tasks) >= self._limits.connections:
            oldest = next(iter(self._shaking), None)
            what = f"{peer} is refused" if oldest is None else "the oldest unfinished handshake is closed"
            _log.warning("over %d connections: %s", self._limits.connections, what)
            if oldest is None:
                return False
            oldest.cancel()
            self._settled(oldest)
        self._tasks.add(task)
        self._shaking[task] = None
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._settled)
        return True

    def _settled(self, task: "asyncio.Task[None] | None") -> None:
        if task is not None:
            self._shaking.pop(task, None)

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        for server in self._servers:
            server.close()
        self._servers = []
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    def subscribed(self, name: str) -> list[bytes] | None:
        """Return what a new subscriber gets first; None if there is no such name."""
        raise NotImplementedError

    def refill(self, subscription: Subscription) -> None:
        """Put off encoding until a subscriber can take more: called when all its lines are sent."""

    def subscriptions(self, name: str) -> list[Subscription]:
        """Return the present subscribers to a name."""
        return self._subscriptions.get(name, [])

    def status(self) -> list[dict[str, Any]]:
        """Return what each subscriber follows, who it is, what waits for it, and what was dropped.

        Returns:
            One dict a subscriber: `name`, `peer` ("host:port"), `waiting` (bytes), `dropped` (lines).

        """
        return [
            {"name": each.name, "peer": each.peer, "waiting": each.size, "dropped": each.dropped}
            for subscribers in self._subscriptions.values()
            for each in subscribers
        ]

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ssl_config: SimpleSSLConfig | None
    ) -> None:
        sock = writer.get_extra_info("socket")
        if sock is not None:
            tune(sock)
        if ssl_config is not None:
            ssl_config.check_peer(writer.get_extra_info("ssl_object").getpeercert(True))
        async with asyncio.timeout(self._limits.handshake_timeout):
            if await reader.readuntil() != self._banner:
                return
            name = (await reader.readuntil()).decode("ascii", "replace")[:-1]
        first = self.subscribed(name)
        if first is None:
            return
        self._settled(asyncio.current_task())
        address = writer.get_extra_info("peername")
        subscription = Subscription(name, f"{address[0]}:{address[1]}" if address else "a client")
        for line in first:
            subscription.put(line)
        subscribers = self._subscriptions.setdefault(name, [])
        subscribers.append(subscription)
        # A subscriber says nothing more: the end of what it sends is the end of the connection.
        ended = asyncio.ensure_future(reader.read(1))
        sending = asyncio.ensure_future(self._send(subscription, writer))
        try:
            await asyncio.wait((ended, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscribers.remove(subscription)
            for task in (ended, sending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task

    async def _send(self, subscription: Subscription, writer: asyncio.StreamWriter) -> None:
        while True:
            if not subscription.lines:
                self.refill(subscription)
            while subscription.lines:
                writer.write(subscription.take())
                await writer.drain()
                if not subscription.lines:
                    self.refill(subscription)
            subscription.wanted.clear()
            await subscription.wanted.wait()

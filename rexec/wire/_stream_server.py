"""A server that sends lines to the subscribers of a name, for sync_struct and broadcast."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from rexec.ground import forks
from rexec.wire._acceptor import Acceptor
from rexec.wire._limits import Limits
from rexec.wire._line_queue import WHOLE
from rexec.wire._listen import ListeningServer
from rexec.wire._subscription import PIECE, Subscription
from rexec.wire.errors import ConnectionBroken
from rexec.wire.tls import SimpleSSLConfig

_GATHER: Final = 0.002
"""Seconds between two batches of lines. The first line after a pause does not wait."""


class _Burst:
    """Lines of one turn of the event loop, or of several, for all subscribers of a name."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, Any]] = []
        self.size = 0
        self.timer: asyncio.Handle | None = None


class StreamServer(ListeningServer):
    """Listens, checks the banner and the name, and sends each subscriber its lines.

    Args:
        banner: First line that a client must send.
        limits: Limits on what clients use; of a subscriber's lines, which are two, nothing more is read.

    """

    def __init__(self, banner: bytes, limits: Limits | None = None) -> None:
        self.banner = banner
        self.limits = limits or Limits()
        self._acceptor: Acceptor | None = None
        self.connections: set[Subscription] = set()
        """Those that are through TLS, subscribed or not."""
        self._followers: dict[str, list[Subscription]] = {}
        self._bursts: dict[str, _Burst] = {}
        self._next_batch: dict[str, float] = {}
        """Earliest time of the next batch of each name."""
        self._generation = forks.generation

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
        listeners, context = self._listen(host, port, ssl_config)
        self.forget_loop()
        self._acceptor = Acceptor(listeners, self._connected, self.limits, context)

    def forget_loop(self) -> None:
        """Forget what an event loop that has ended was to do."""
        self._bursts.clear()

    def _connected(self, sock: socket.socket, peer: str) -> Subscription:
        return Subscription(self, sock, peer)

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._acceptor is not None:
            await self._acceptor.close()
        for name in list(self._bursts):
            self.flush(name)
        for subscription in list(self.connections):
            subscription.fail(ConnectionBroken("the server stops"))
            await subscription.wait_closed()
        self._acceptor = self.server = None
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    def left(self, sock: socket.socket, subscription: Subscription) -> None:
        """Note the end of a connection."""
        self.connections.discard(subscription)
        if self._acceptor is not None:
            self._acceptor.left(sock)

    def forget(self, subscription: Subscription) -> None:
        """Send no more to a subscriber, if it is one already."""
        followers = self._followers.get(subscription.name, [])
        if subscription in followers:
            followers.remove(subscription)

    def followers(self, name: str) -> list[Subscription]:
        """Return the list of the present subscribers to a name."""
        return self._followers.setdefault(name, [])

    def has(self, name: str) -> bool:
        """Return whether there is a name to follow."""
        raise NotImplementedError

    def subscribed(self, subscription: Subscription) -> None:
        """Let a new subscriber begin, now or once there is what it gets first."""
        subscription.begin(())

    def send(self, name: str, line: bytes, part: Any = WHOLE) -> None:
        """Send a line to the subscribers of a name, with others of this turn of the event loop.

        While line follows line, those of several turns are sent together: a subscriber costs a system call a batch.
        """
        burst = self._bursts.get(name)
        if burst is None:
            burst = self._bursts[name] = _Burst()
            loop, wait = asyncio.get_running_loop(), self._next_batch.get(name, 0.0) - time.monotonic()
            burst.timer = (
                loop.call_later(wait, self.flush, name) if wait > 0 else loop.call_soon(self.flush, name)
            )
        burst.lines.append((line, part))
        burst.size += len(line)
        if burst.size > PIECE:
            self.flush(name)

    def flush(self, name: str) -> None:
        """Give what was sent to the subscribers of a name, or to their queues."""
        burst = self._bursts.pop(name, None)
        if burst is None:
            return
        if burst.timer is not None:
            burst.timer.cancel()
        self._next_batch[name] = time.monotonic() + _GATHER
        joined = b"".join([line for line, _ in burst.lines]) if burst.size <= PIECE else b""
        for subscription in list(self.subscriptions(name)):
            if not joined or not subscription.write_now(joined):
                for line, part in burst.lines:
                    self.enqueue(subscription, line, part)

    def enqueue(self, subscription: Subscription, line: bytes, part: Any) -> None:
        """Add a line to those of a subscriber that does not get it at once, or drop one, if it is too slow."""
        raise NotImplementedError

    def refill(self, subscription: Subscription) -> None:
        """Add lines that were put off until the subscriber can take more: called when all its lines are sent."""

    def subscriptions(self, name: str) -> Sequence[Subscription]:
        """Return the present subscribers to a name; those of a parent process are not a child's."""
        return self._followers.get(name, ()) if self._generation == forks.generation else ()

    def status(self) -> list[dict[str, Any]]:
        """Return name, peer, backlog and number of dropped lines of each subscriber.

        Returns:
            One dict a subscriber: `name`, `peer` ("host:port"), `waiting` (bytes), `dropped` (lines).

        """
        for name in list(self._bursts):
            self.flush(name)
        return [
            {"name": each.name, "peer": each.peer, "waiting": each.lines.size, "dropped": each.dropped}
            for subscribers in self._followers.values()
            for each in subscribers
        ]

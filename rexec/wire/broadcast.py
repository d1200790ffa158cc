"""Messages to the receivers that are connected at the moment."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from rexec.wire import pyon
from rexec.wire._limits import Limits
from rexec.wire._stream_client import Follower
from rexec.wire._stream_server import StreamServer
from rexec.wire._subscription import Subscription
from rexec.wire.pyon_v1 import encode as pyon_v1_encode
from rexec.wire.tls import SimpleSSLConfig

__all__ = ["Broadcaster", "Receiver"]

_log = logging.getLogger(__name__)
_BANNER: Final = b"ARTIQ broadcast\n"


class Broadcaster(StreamServer):
    """Sends messages to receivers. Belongs to the event loop on which `start` was awaited.

    Args:
        queue_limit: Most messages that wait for one receiver; more are dropped, oldest first.
        backlog: Most bytes that wait for one receiver, beside one message; more are dropped likewise.
        pyon_v1: Write for receivers of before sipyco 1.10 (the protocol has no way to find out).
        limits: What receivers can make the server hold, beside that.

    """

    def __init__(
        self,
        queue_limit: int = 1024,
        *,
        backlog: int = 64 << 20,
        pyon_v1: bool = False,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(_BANNER, limits)
        self._queue_limit = queue_limit
        self._backlog = backlog
        self._encode = pyon_v1_encode if pyon_v1 else pyon.encode
        self.dropped = 0
        """Number of messages that a receiver was too slow for."""

    def has(self, name: str) -> bool:
        """Accept any name."""
        return True

    def broadcast(self, name: str, obj: Any) -> None:
        """Send a message.

        Args:
            name: Receivers of this name get it.
            obj: The message.

        Raises:
            TypeError: It has no encoding.

        """
        line = self._encode(obj).encode("ascii") + b"\n"
        if self.subscriptions(name):
            self.send(name, line)

    def enqueue(self, subscription: Subscription, line: bytes, part: Any) -> None:
        """Add a message to those that wait; drop the oldest of too many.

        Args:
            subscription: The receiver.
            line: The message, encoded.
            part: Not used: a message is whole.

        """
        lines = subscription.lines
        while lines and (len(lines) >= self._queue_limit or lines.size + len(line) > self._backlog):
            lines.take()
            if self.dropped == 0:
                _log.warning(
                    "%s receives %r too slowly: messages are dropped", subscription.peer, subscription.name
                )
            subscription.dropped += 1
            self.dropped += 1
        subscription.put(line)


class Receiver(Follower):
    """Receives the messages of one name.

    Args:
        name: The name.
        notify_cb: Called with each message; a function or several.
        disconnect_cb: Called when the connection is lost.
        limit: Longest message in bytes; None for any length.

    """

    def __init__(
        self,
        name: str,
        notify_cb: Callable[[Any], Any] | Iterable[Callable[[Any], Any]],
        disconnect_cb: Callable[[], Any] | None = None,
        *,
        limit: int | None = None,
    ) -> None:
        super().__init__(f"receiver of {name!r}", notify_cb, disconnect_cb, limit)
        self.name = name

    async def connect(
        self,
        host: str,
        port: int,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the error's text
    ) -> None:
        """Connect; messages arrive from then on by the event loop.

        Args:
            host: Name or address.
            port: TCP port.
            ssl_config: TLS, if any.
            timeout: Longest time for connecting, in seconds.

        Raises:
            ConnectionFailed: No connection could be made.

        """
        first = _BANNER + self.name.encode("ascii") + b"\n"
        await self._follow(host, port, ssl_config, timeout, first, self._notify)

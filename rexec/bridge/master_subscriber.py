"""Subscribes to a master's datasets and reconnects: reports each snapshot of all datasets, and each change."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from rexec.bridge.errors import BridgeError
from rexec.wire.errors import ConnectionFailed, shown_address
from rexec.wire.sync_struct import Mod, Subscriber
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

RETRY: Final = 1.0
"""Seconds between attempts to reconnect."""

FIRST_ANSWER: Final = 15.0
"""Seconds for a server to send its first snapshot."""

_UNNOTICED: Final = 60.0
"""Maximum seconds before a dead connection is noticed: TCP keep-alive takes 40 s."""


class MasterSubscriber:
    """Subscribes to the datasets of one master.

    Args:
        host: Host of the master.
        port: Notification port of the master.
        ssl_config: TLS files, or None.
        pictured: Called with each snapshot of all datasets, the reason ("connected", "reconnected", "resent"), and the
            time since which changes may have been missed (None: no change was missed).
        changed: Called with all datasets and each change, after the change was applied.
        lost: Called with a text when the connection is lost.
        limit: Longest message of the master in bytes; None for any length.

    """

    def __init__(
        self,
        host: str,
        port: int,
        ssl_config: SimpleSSLConfig | None,
        *,
        pictured: Callable[[dict[str, Any], str, float | None], None],
        changed: Callable[[dict[str, Any], Mod], None],
        lost: Callable[[str], None],
        limit: int | None = None,
    ) -> None:
        self._limit: Final = limit
        self.name: Final = shown_address(host, port)
        self._address: Final = (host, port, ssl_config)
        self._pictured: Final = pictured
        self._changed: Final = changed
        self._tell_lost: Final = lost
        self._datasets: dict[str, Any] = {}
        self._received: float | None = None
        self._missed_since: float | None = None
        self._answered = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self.is_connected = False

    async def run(self, *, wait: bool) -> None:
        """Subscribe, and reconnect, until cancelled.

        Args:
            wait: Whether to wait for the master if the first attempt to connect fails.

        Raises:
            BridgeError: The first attempt to connect failed, or the server is not a master.

        """
        announced = False
        while True:
            problem = await self._follow_once()
            if self._failure is not None:
                self.is_connected = False
                raise self._failure
            if self._received is None and not wait:
                raise BridgeError(f"datasets of the master at {self.name}: {problem}")
            if not announced or self.is_connected:
                self._tell_lost(problem)
                announced = True
            self.is_connected = False
            await asyncio.sleep(RETRY)

    async def _follow_once(self) -> str:
        """Subscribe for the life of one connection; return why it ended."""
        host, port, ssl_config = self._address
        self._failure = None
        self._ended = asyncio.Event()
        self._answered = asyncio.Event()
        subscriber = Subscriber("datasets", lambda struct: struct, self._take, self._end, limit=self._limit)
        try:
            await subscriber.connect(host, port, ssl_config=ssl_config)
            try:
                # Not wait_for, which in Python 3.11 loses a cancellation that arrives together with the answer.
                async with asyncio.timeout(FIRST_ANSWER):
                    await self._answered.wait()
            except TimeoutError:
                return f"no data within {FIRST_ANSWER:g} s. Is this the notification port of a master?"
            if not self.is_connected:
                if subscriber.has_failed():
                    return f"what it sends cannot be read: {subscriber.failure}"
                return (
                    "the server closed the connection at once: it has no notifier 'datasets'. Is this the notification "
                    "port of a master (3250, not 3251)?"
                )
            await self._ended.wait()
            if subscriber.has_failed():
                return f"a change that it sent cannot be applied: {subscriber.failure}"
        except (ConnectionFailed, OSError) as error:
            return f"{error}. Does a master run there?"
        finally:
            if self.is_connected:
                self._missed_since = max(self._received or 0.0, time.time() - _UNNOTICED)
            await subscriber.close()
        return "the connection was lost"

    def _end(self) -> None:
        self._answered.set()
        self._ended.set()

    def _take(self, mod: Mod) -> None:
        now = time.time()
        try:
            if mod["action"] == "init":
                self._take_picture(mod["struct"], now)
            else:
                self._changed(self._datasets, mod)
        except Exception as error:
            # An internal error: later data would be incomplete.
            self._failure = error
            self._end()
        self._received = now

    def _take_picture(self, datasets: Any, now: float) -> None:
        if not isinstance(datasets, dict):
            raise BridgeError(f"the server at {self.name} is no master: its datasets are no dict")
        self._datasets = datasets
        if self._received is None:
            reason, missed = "connected", None
        elif self._missed_since is not None:
            reason, missed = "reconnected", self._missed_since
        else:
            # A second snapshot on one connection: the master has dropped changes, because we were too slow.
            reason, missed = "resent", self._received
        self._missed_since = None
        self.is_connected = True
        self._answered.set()
        self._pictured(datasets, reason, missed)

"""Stays connected to a master's datasets: tells of every picture of all of them, and of every change."""

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
"""Seconds between attempts to reach a master again."""

FIRST_ANSWER: Final = 15.0
"""Seconds within which a server must begin to tell of its datasets."""

_UNNOTICED: Final = 60.0
"""Longest time for which a dead connection may look alive: keep-alive of the wire notices it in 40 s."""


class Follower:
    """Follows the datasets of one master.

    Args:
        host: The master's.
        port: Port of its notifiers.
        ssl_config: TLS, if any.
        pictured: Called with all datasets whenever the master sends them all, with the reason ("connected",
            "reconnected", "resent") and since when changes may have been missed (None: none were).
        changed: Called with all datasets and each change of them, after it was applied.
        lost: Called with a text when the connection is lost.

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
    ) -> None:
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
        """Follow until this is cancelled.

        Args:
            wait: Whether to wait for a master that is not there at first.

        Raises:
            BridgeError: There is none at first, or what answers is none.

        """
        announced = False
        while True:
            problem = await self._follow_once()
            if self._failure is not None:
                raise self._failure
            if self._received is None and not wait:
                raise BridgeError(f"datasets of the master at {self.name}: {problem}")
            if not announced or self.is_connected:
                self._tell_lost(problem)
                announced = True
            self.is_connected = False
            await asyncio.sleep(RETRY)

    async def _follow_once(self) -> str:
        """Follow as long as one connection lasts; return what ended it."""
        host, port, ssl_config = self._address
        self._ended = asyncio.Event()
        self._answered = asyncio.Event()
        subscriber = Subscriber("datasets", lambda struct: struct, self._take, self._end)
        try:
            await subscriber.connect(host, port, ssl_config=ssl_config)
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the answer.
                async with asyncio.timeout(FIRST_ANSWER):
                    await self._answered.wait()
            except TimeoutError:
                return f"nothing came within {FIRST_ANSWER:g} s. Is this the notification port of a master?"
            if not self.is_connected:
                return (
                    "the server closed the connection at once: it has no notifier 'datasets'. Is this the notification "
                    "port of a master (3250, not 3251)?"
                )
            await self._ended.wait()
        except (ConnectionFailed, OSError) as error:
            return f"{error}. Is a master running there?"
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
            # A fault of ours: nothing that comes later may be taken for complete.
            self._failure = error
            self._end()
        self._received = now

    def _take_picture(self, datasets: dict[str, Any], now: float) -> None:
        self._datasets = datasets
        if self._received is None:
            reason, missed = "connected", None
        elif self._missed_since is not None:
            reason, missed = "reconnected", self._missed_since
        else:
            # On a connection that lasts: the master has dropped changes because we were too slow.
            reason, missed = "resent", self._received
        self._missed_since = None
        self.is_connected = True
        self._answered.set()
        self._pictured(datasets, reason, missed)

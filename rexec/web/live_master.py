"""Follows a master, ARTIQ's or ours: its datasets, and its log. Reconnects for ever."""

import asyncio
import contextlib
import logging
import time
from typing import Any, Final

from devicedb.errors import ExpectedError
from rexec.bridge.master_subscriber import MasterSubscriber
from rexec.web.clock import VersionClock
from rexec.web.labels import bounded
from rexec.web.live_datasets import LiveDatasets
from rexec.web.log_lines import LogLines
from rexec.wire.broadcast import Receiver
from rexec.wire.errors import ConnectionFailed
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

_RETRY: Final = 2.0

MOST_DATASETS: Final = 1 << 30
"""Maximum bytes of a message with datasets: a server that is no master may send for ever."""

MOST_LOG_MESSAGE: Final = 1 << 24
"""Maximum bytes of a message of the log."""


class LiveMaster:
    """Fills the live datasets and the log from one master.

    Args:
        clock: Counts the changes of the connection's state.
        datasets: Gets the datasets.
        log: Gets the log.
        address: Host, notification port, and port of the broadcast log (None: no log).
        ssl_config: TLS files, or None.

    """

    def __init__(
        self,
        clock: VersionClock,
        datasets: LiveDatasets,
        log: LogLines,
        address: tuple[str, int, int | None],
        ssl_config: SimpleSSLConfig | None = None,
    ) -> None:
        host, notify, self._log_port = address
        self._clock: Final = clock
        self._host: Final = host
        self._log: Final = log
        self._ssl_config: Final = ssl_config
        self._datasets: Final = datasets
        self.version = 0
        """Version of the last change of the state."""
        self._state: dict[str, Any] = {"connected": False, "since": time.time(), "problem": "", "log": ""}
        self._subscriber: Final = MasterSubscriber(
            host,
            notify,
            ssl_config,
            pictured=self._pictured,
            changed=datasets.take_change,
            lost=self._lost,
            limit=MOST_DATASETS,
        )

    def state(self) -> dict[str, Any]:
        """Return where the master is, whether it is connected, since when, and what is wrong."""
        return {"master": self._subscriber.name, **self._state}

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_datasets())
            if self._log_port is not None:
                tasks.create_task(self._follow_log(self._log_port))

    async def _follow_datasets(self) -> None:
        while True:
            try:
                await self._subscriber.run(wait=True)
            except ExpectedError as error:
                self._lost(str(error))
            except Exception as error:
                # A master may send anything, and the page shows the rest of the laboratory.
                problem = bounded(f"what it sends cannot be followed: {type(error).__name__}: {error}")
                if problem != self._state["problem"]:
                    _log.exception("the datasets of the master at %s", self._subscriber.name)
                self._lost(problem)
            await asyncio.sleep(_RETRY)

    def _pictured(self, datasets: dict[str, Any], reason: str, missed: float | None) -> None:
        self._datasets.take_snapshot(datasets)
        if reason != "resent":
            self._now(connected=True, since=time.time(), problem="")

    def _lost(self, problem: str) -> None:
        since = (
            time.time() if self._state["connected"] or not self._state["problem"] else self._state["since"]
        )
        self._now(connected=False, since=since, problem=bounded(problem))

    def _now(self, **state: Any) -> None:
        self._state = {**self._state, **state}
        self.version = self._clock.tick()

    async def _follow_log(self, port: int) -> None:
        while True:
            ended = asyncio.Event()
            receiver = Receiver("log", self._take_line, ended.set, limit=MOST_LOG_MESSAGE)
            try:
                await receiver.connect(self._host, port, self._ssl_config)
                self._log_is("")
                await ended.wait()
                self._log_is("the connection to the log of the master was lost")
            except (ConnectionFailed, OSError) as error:
                self._log_is(f"no log of the master: {error}")
            finally:
                with contextlib.suppress(OSError):
                    await receiver.close()
            await asyncio.sleep(_RETRY)

    def _log_is(self, problem: str) -> None:
        said = bounded(problem)
        if self._state["log"] != said:
            self._now(log=said)

    def _take_line(self, message: Any) -> None:
        try:
            level, source, when, text = message
            self._log.add(int(level), str(source), float(when), str(text))
        except (TypeError, ValueError, OverflowError):
            return  # no message of a master

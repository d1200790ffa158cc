"""A master: serves datasets and devices to everyone who expects an ARTIQ master, from one event loop."""

import asyncio
import errno
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec._version import __version__
from rexec.datasets import DatasetDB, DatasetError
from rexec.datasets.targets import DatasetTarget
from rexec.master.devices import Devices, DeviceTarget
from rexec.master.errors import MasterError
from rexec.master.feed import Feed
from rexec.master.logs import BroadcastHandler, LogReceiver, Message
from rexec.master.targets import ExperimentTarget, InteractiveTarget, ManagementTarget, ScheduleTarget
from rexec.wire.broadcast import Broadcaster
from rexec.wire.pc_rpc import Server
from rexec.wire.sync_struct import Notifier, Publisher
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)

_HINTS: Final[dict[int | None, str]] = {
    errno.EADDRINUSE: ". If another master runs here, end it, or choose another port with {option}",
    errno.EADDRNOTAVAIL: ". --bind needs an address of this machine",
    errno.EACCES: ". Choose another port with {option}",
}
"""Remedies for a port that cannot be opened, by error number."""

REPORT_INTERVAL: Final = 60.0
"""Seconds between reports of changes dropped for slow subscribers."""

REFRESH_INTERVAL: Final = 0.5
"""Seconds between two looks at what other processes have changed in the file of persistent datasets."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of a master; 0: chosen by the system; None: not served. The defaults are ARTIQ's."""

    notify: int | None = 3250
    control: int | None = 3251
    broadcast: int | None = 1067
    logging: int | None = 1066


class Master:
    """Serves a dataset database and a device database. Belongs to the event loop on which `start` is awaited.

    Args:
        datasets: The datasets; any thread may change them.
        devices: The devices.
        ports: TCP ports.
        name: Name for people.
        is_lasting: Whether clients may end the master.
        artiq: ARTIQ release of the subscribers, which the protocol does not tell: before 9 they read PYON v1, before 8
            datasets without metadata.
        backlog: Maximum bytes buffered per subscriber.

    """

    def __init__(
        self,
        datasets: DatasetDB,
        devices: Devices,
        ports: Ports,
        *,
        name: str | None = None,
        is_lasting: bool = True,
        artiq: int = 9,
        backlog: int = 16 << 20,
    ) -> None:
        self.datasets: Final = datasets
        self.devices: Final = devices
        self.addresses: Final[dict[str, list[tuple[str, int]]]] = {}
        """Listening addresses by the names of `Ports`."""
        self._ports: Final = ports
        self._started: Final = time.time()
        self._feed: Final = (
            None if ports.notify is None else Feed(datasets, has_metadata=artiq >= 8, is_v1=artiq < 9)
        )
        self._publisher: Final = Publisher(self._notifiers(), pyon_v1=artiq < 9, backlog=backlog)
        self._broadcaster: Final = Broadcaster(pyon_v1=artiq < 9, backlog=backlog)
        management = ManagementTarget(name, self.status, self._end_soon if is_lasting else None)
        # Calls overlap, so that nobody waits for the scan of another client.
        self._server: Final = Server(self._targets(management), "datasets and devices", allow_parallel=True)
        self._receiver: Final = LogReceiver()
        self._handler = None if ports.broadcast is None else BroadcastHandler(self._show_log)
        self._reporting: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self, host: Sequence[str] | None, ssl_config: SimpleSSLConfig | None = None) -> None:
        """Begin to serve.

        Args:
            host: Names or addresses to listen on; None for all interfaces.
            ssl_config: TLS files, or None.

        Raises:
            MasterError: A port cannot be opened, or a TLS file cannot be read.

        """
        if self._handler is not None:
            logging.getLogger().addHandler(self._handler)
        for part, port, server in (
            ("notify", self._ports.notify, self._publisher),
            ("control", self._ports.control, self._server),
            ("broadcast", self._ports.broadcast, self._broadcaster),
            ("logging", self._ports.logging, self._receiver),
        ):
            if port is not None:
                await self._listen(part, server, host, port, ssl_config)
        self._reporting = asyncio.create_task(self._report_regularly())
        self._refreshing = asyncio.create_task(self._refresh_regularly())

    async def stop(self) -> None:
        """Close all connections and stop serving. Idempotent."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        for task in (self._reporting, self._refreshing):
            if task is not None:
                task.cancel()
        await self._server.stop()
        await self._receiver.stop()
        if self._feed is not None:
            self._feed.close()
        await self._publisher.stop()
        await self._broadcaster.stop()

    async def wait_terminate(self) -> None:
        """Wait until a client asks for the end, or `terminate` is called."""
        await self._server.wait_terminate()

    def terminate(self) -> None:
        """End `wait_terminate`. To be called in the thread of the event loop."""
        self._server.terminate()

    def status(self) -> dict[str, Any]:
        """Return the state of the master.

        Returns:
            `version`, `started` (seconds since the epoch), `datasets` (number), `persistent` (number and file),
            `devices` (number and origin), `skipped` (changes that were too fast to be published one by one),
            `followers` (the subscribers: see `rexec.wire.sync_struct.Publisher.status`), `dropped_logs` (number of
            log records dropped by sender, because it sent too many).

        """
        count, persistent = self.datasets.count()
        path = self.datasets.path
        return {
            "version": __version__,
            "started": self._started,
            "datasets": count,
            "persistent": [persistent, None if path is None else str(path)],
            "devices": [len(self.devices.database), self.devices.database.origin],
            "skipped": 0 if self._feed is None else self._feed.skipped,
            "followers": self._publisher.status() + self._broadcaster.status(),
            "dropped_logs": self._receiver.dropped,
        }

    def _notifiers(self) -> dict[str, Notifier]:
        if self._feed is None:
            return {}
        return {
            "datasets": self._feed.notifier,
            "devices": self.devices.notifier,
            "schedule": Notifier({}),
            "explist": Notifier({}),
            "explist_status": Notifier({"scanning": False, "cur_rev": "N/A"}),
            "interactive_args": Notifier({}),
        }

    def _targets(self, management: ManagementTarget) -> dict[str, Any]:
        present = {
            "dataset_db": DatasetTarget(self.datasets),
            "device_db": DeviceTarget(self.devices),
            "schedule": ScheduleTarget(),
            "experiment_db": ExperimentTarget(),
            "interactive_arg_db": InteractiveTarget(),
        }
        # Before ARTIQ 9 the names had a prefix, and `master_management` was `master_config`.
        older = {f"master_{each}": target for each, target in present.items()}
        return {**present, **older, "master_management": management, "master_config": management}

    async def _listen(
        self, part: str, server: Any, host: Sequence[str] | None, port: int, ssl_config: Any
    ) -> None:
        try:
            await server.start(host, port, ssl_config)
        except OSError as error:
            hint = _HINTS.get(error.errno, "").format(option=f"--port-{part}")
            raise MasterError(f"cannot serve: {error.strerror or error}{hint}") from error
        self.addresses[part] = server.addresses

    def _end_soon(self) -> None:
        # Send the answer first.
        asyncio.get_running_loop().call_later(0.05, self.terminate)

    def _show_log(self, message: Message) -> None:
        self._broadcaster.broadcast("log", message)

    async def _refresh_regularly(self) -> None:
        """Show what other processes have changed in the file of persistent datasets."""
        is_lost = False
        while True:
            await asyncio.sleep(REFRESH_INTERVAL)
            try:
                await asyncio.to_thread(self.datasets.refresh)
                is_lost = False
            except DatasetError as error:
                if not is_lost:
                    _log.error("%s", error)
                is_lost = True

    async def _report_regularly(self) -> None:
        before: dict[tuple[str, str], int] = {}
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            before = self.report(before)

    def report(self, before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """Log the changes dropped for slow subscribers since the counts `before`; return the present counts."""
        now = {}
        for each in self._publisher.status() + self._broadcaster.status():
            follower = (each["peer"], each["name"])
            now[follower] = each["dropped"]
            more = each["dropped"] - before.get(follower, 0)
            if more > 0:
                _log.warning(
                    "subscriber %s of %r is too slow: %d changes were merged, %d bytes are buffered",
                    *follower, more, each["waiting"],
                )  # fmt: skip
        return now

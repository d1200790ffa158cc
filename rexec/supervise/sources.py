"""Sources of a supervisor's device database: a file that is read again on change, or a running master."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from devicedb import DatabaseLoadError, DeviceDatabase, DeviceDBError, from_dict, load_file
from devicedb.stamp import stamp
from rexec.devices import fetch_database
from rexec.ground.loop_thread import LoopThread
from rexec.wire.errors import WireError, shown_address
from rexec.wire.sync_struct import Subscriber
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

SLOW: Final = 10.0
"""Seconds after which a device database file that still runs is reported."""

QUIET: Final = 1.0
"""Seconds without a change before a master's devices are used, because it sends entries one by one."""

RECONNECT: Final = 2.0
"""Seconds between attempts to reconnect to a master."""


class FileSource:
    """A device database file. A new version that cannot be loaded, or never ends, changes nothing.

    Args:
        path: The file.

    Raises:
        DatabaseLoadError: The first version cannot be loaded.

    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._loaded = self._looked = stamp(self._path)
        self.database: DeviceDatabase = load_file(path)
        self._loading: _Loading | None = None

    def poll(self) -> bool:
        """Read the file again if it, or a Python file beside it, changed; return whether `database` is new."""
        if self._loading is None:
            before, self._looked = self._looked, stamp(self._path)
            # A file that changed since the last poll may be half written: wait until it stays the same.
            if self._looked == before and self._looked != self._loaded:
                self._loaded = self._looked
                self._loading = _Loading(self._path)
            return False
        if not self._loading.has_ended():
            return False
        loaded, self._loading = self._loading.result, None
        if isinstance(loaded, DeviceDatabase):
            is_new = loaded.raw != self.database.raw
            self.database = loaded
            return is_new
        logger.error("%s. The controllers keep running", loaded)
        return False

    def close(self) -> None:
        """Nothing is open; a file that is still being executed ends with this process."""


class _Loading:
    """Executes a file in its own thread, because it may take long."""

    def __init__(self, path: Path) -> None:
        self.result: DeviceDatabase | DeviceDBError | None = None
        self._path = path
        self._began: float | None = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="loads the device database", daemon=True)
        self._thread.start()

    def has_ended(self) -> bool:
        """Whether the execution has ended; reports a long one once."""
        if not self._thread.is_alive():
            return True
        if self._began is not None and time.monotonic() > self._began + SLOW:
            self._began = None
            logger.error(
                "%s has been running for over %g s. The controllers keep running; if it never ends, mend it and "
                "start `rexec up` again",
                self._path,
                SLOW,
            )
        return False

    def _run(self) -> None:
        try:
            self.result = load_file(self._path)
        except DeviceDBError as error:
            self.result = error


class MasterSource:
    """The devices of a running master. While it cannot be reached, or has no devices, nothing changes.

    Args:
        host: Host of the master.
        port, port_notify: Control and notification port of the master.
        ssl_config: TLS files, or None.

    Raises:
        MasterUnreachable: The first attempt to reach the master failed.

    """

    def __init__(
        self,
        host: str,
        port: int = 3251,
        port_notify: int = 3250,
        ssl_config: SimpleSSLConfig | None = None,
    ) -> None:
        self._host, self._port = host, port_notify
        self._ssl_config = ssl_config
        self._origin = f"master {shown_address(host, port)}"
        self.database: DeviceDatabase = fetch_database(host, port, ssl_config=ssl_config)
        self._sent = self._used = (self.database, 0.0)
        """Devices, and when they were sent: the last ones, and the last ones that `poll` has looked at."""
        self._thread = LoopThread(self._following, name="devices of the master", timeout=15.0)
        self._thread.start()

    def poll(self) -> bool:
        """Return whether `database` is new."""
        sent = new, when = self._sent
        if sent is self._used or time.monotonic() < when + QUIET:
            return False
        self._used = sent
        if not new.raw and self.database.raw:
            # ARTIQ's master does so for a file with `device_db = []`.
            logger.error("the %s has no devices any more. The controllers keep running", self._origin)
            return False
        if new.raw == self.database.raw:
            return False
        self.database = new
        return True

    def close(self) -> None:
        """Disconnect from the master."""
        self._thread.close()

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        while True:
            lost = asyncio.Event()
            devices: dict[str, Any] = {}

            def build(struct: dict[str, Any], devices: dict[str, Any] = devices) -> dict[str, Any]:
                devices.clear()
                devices.update(struct)
                return devices

            def changed(mod: Any, devices: dict[str, Any] = devices) -> None:
                self._changed(devices)

            subscriber = Subscriber("devices", build, changed, lost.set)
            try:
                await subscriber.connect(self._host, self._port, ssl_config=self._ssl_config)
                await lost.wait()
                logger.warning("the %s is gone; the controllers keep running", self._origin)
            except (WireError, OSError) as error:
                logger.info("%s", error)
            finally:
                await subscriber.close()
            await asyncio.sleep(RECONNECT)

    def _changed(self, devices: dict[str, Any]) -> None:
        try:
            database = from_dict(dict(devices), self._origin)
        except DatabaseLoadError as error:
            logger.error("%s. The controllers keep running", error)
            return
        self._sent = database, time.monotonic()

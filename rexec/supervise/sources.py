"""Where a supervisor learns of its controllers: a file that is read again on change, or a running master."""

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any, Final

from devicedb import DatabaseLoadError, DeviceDatabase, DeviceDBError, from_dict, load_file
from devicedb.stamp import stamp
from rexec.devices import fetch_database
from rexec.wire.errors import WireError, shown_address
from rexec.wire.sync_struct import Subscriber
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

SLOW: Final = 10.0
"""Seconds after which a device database file that does not end is complained of."""

QUIET: Final = 1.0
"""Seconds without a change after which what a master says is followed: it sends entries one by one."""

RECONNECT: Final = 2.0
"""Seconds between attempts to reach a master again."""


class FileSource:
    """A device database file. One that cannot be loaded any more, or never ends, changes nothing.

    Args:
        path: The file; it must be loadable at first.

    Raises:
        DatabaseLoadError: It is not.

    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._loaded = self._looked = stamp(self._path)
        self.database: DeviceDatabase = load_file(path)
        self._loading: _Loading | None = None

    def poll(self) -> bool:
        """Return whether `database` is another one; read again if the file, or a Python file beside it, has changed."""
        if self._loading is None:
            before, self._looked = self._looked, stamp(self._path)
            # What has changed since the last look may be half written.
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
        logger.error("%s. The controllers go on as before", loaded)
        return False

    def close(self) -> None:
        """Nothing is open; a file that is still being executed ends with this process."""


class _Loading:
    """A file that is being executed, in a thread of its own: it may take its time."""

    def __init__(self, path: Path) -> None:
        self.result: DeviceDatabase | DeviceDBError | None = None
        self._path = path
        self._began: float | None = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="loads the device database", daemon=True)
        self._thread.start()

    def has_ended(self) -> bool:
        """Whether there is a result; says once if that takes long."""
        if not self._thread.is_alive():
            return True
        if self._began is not None and time.monotonic() > self._began + SLOW:
            self._began = None
            logger.error(
                "%s has been running for over %g s. The controllers go on as before; if it never ends, mend it and "
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
    """The devices of a running master. While it cannot be reached, or has none any more, nothing changes.

    Args:
        host: The master's.
        port, port_notify: Its control port, and that of its notifiers.
        ssl_config: TLS, if any.

    Raises:
        MasterUnreachable: It cannot be reached at first.

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
        self._new: DeviceDatabase | None = None
        self._changed_at = 0.0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="devices of the master", daemon=True)
        self._thread.start()

    def poll(self) -> bool:
        """Return whether `database` is another one than before."""
        with self._lock:
            if time.monotonic() < self._changed_at + QUIET:
                return False
            new, self._new = self._new, None
        if new is not None and not new.raw and self.database.raw:
            # What ARTIQ makes of a file that says `device_db = []`.
            logger.error("the %s has no devices any more. The controllers go on as before", self._origin)
            return False
        if new is None or new.raw == self.database.raw:
            return False
        self.database = new
        return True

    def close(self) -> None:
        """Leave the master."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(15.0)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._follow())

    async def _follow(self) -> None:
        while not self._end.is_set():
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
                await _first(lost, self._end)
                if not self._end.is_set():
                    logger.warning("the %s is gone; the controllers go on as before", self._origin)
            except (WireError, OSError) as error:
                logger.info("%s", error)
            finally:
                await subscriber.close()
            if not self._end.is_set():
                await _first(self._end, timeout=RECONNECT)

    def _changed(self, devices: dict[str, Any]) -> None:
        try:
            database = from_dict(dict(devices), self._origin)
        except DatabaseLoadError as error:
            logger.error("%s. The controllers go on as before", error)
            return
        with self._lock:
            self._new, self._changed_at = database, time.monotonic()


async def _first(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Wait for the first of some events, at most `timeout` seconds."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Where a supervisor learns of its controllers: a file that is read again on change, or a running master."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any, Final

from devicedb import DatabaseLoadError, DeviceDatabase, DeviceDBError, from_dict, load_file
from rexec.devices import fetch_database
from rexec.wire.errors import WireError
from rexec.wire.sync_struct import Subscriber

logger = logging.getLogger(__name__)

RECONNECT: Final = 2.0
"""Seconds between attempts to reach a master again."""


class FileSource:
    """A device database file. One that cannot be loaded any more changes nothing.

    Args:
        path: The file; it must be loadable at first.

    Raises:
        DatabaseLoadError: It is not.

    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._seen = self._stamp()
        self.database: DeviceDatabase = load_file(path)

    def poll(self) -> bool:
        """Read the file again if it has changed; return whether `database` is another one."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.database = load_file(self._path)
        except DeviceDBError as error:
            logger.error("%s. The controllers go on as before", error)
            return False
        return True

    def close(self) -> None:
        """Nothing is open."""

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class MasterSource:
    """The devices of a running master. While it cannot be reached nothing changes.

    Args:
        host: The master's.
        port, port_notify: Its control port, and that of its notifiers.

    Raises:
        MasterUnreachable: It cannot be reached at first.

    """

    def __init__(self, host: str, port: int = 3251, port_notify: int = 3250) -> None:
        self._host, self._port = host, port_notify
        self._origin = f"master {host}:{port}"
        self.database: DeviceDatabase = fetch_database(host, port)
        self._new: DeviceDatabase | None = None
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="devices of the master", daemon=True)
        self._thread.start()

    def poll(self) -> bool:
        """Return whether `database` is another one than before."""
        with self._lock:
            new, self._new = self._new, None
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
                await subscriber.connect(self._host, self._port)
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
            self._new = database


async def _first(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Wait for the first of some events, at most `timeout` seconds."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

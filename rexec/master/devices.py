"""The devices that a master serves, from a file that can be read again, or from a run. A bad file changes nothing."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from devicedb import AliasLoopError, DatabaseLoadError, DeviceDatabase, UnknownDeviceError
from devicedb.resolve import walk
from devicedb.stamp import Stamp, stamp
from rexec.master.errors import NotServedError
from rexec.master.loading import load_apart
from rexec.wire.pc_rpc import ends_with_client
from rexec.wire.sync_struct import Notifier, update_from_dict

_log = logging.getLogger(__name__)


class Devices:
    """A device database with its notifier. Belongs to the master's event loop.

    Args:
        database: The initial database.

    """

    def __init__(self, database: DeviceDatabase) -> None:
        self.database = database
        self.notifier: Final = Notifier(dict(database.raw))

    async def scan(self) -> None:
        """Refuse, because the database belongs to a run.

        Raises:
            NotServedError: Always.

        """
        raise NotServedError("the device database of a run does not change during the run")

    def follow(self, database: DeviceDatabase) -> str:
        """Replace the database, publish the differences, and return them as text."""
        old, self.database = self.database, database
        update_from_dict(self.notifier, database.raw)
        added = database.raw.keys() - old.raw.keys()
        removed = old.raw.keys() - database.raw.keys()
        changed = {
            name for name in database.raw.keys() & old.raw.keys() if database.raw[name] != old.raw[name]
        }
        parts = [
            f"{len(names)} {what} ({', '.join(sorted(names)[:5])}{', ...' if len(names) > 5 else ''})"
            for what, names in (("new", added), ("changed", changed), ("removed", removed))
            if names
        ]
        return ", ".join(parts) or "nothing changed"


class _Reading:
    """A reading of the file, and the number of those who wait for it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.askers = 0

    async def end(self) -> None:
        """Wait until it has ended; the last one who gives up ends it."""
        self.askers += 1
        try:
            await asyncio.shield(self.task)
        finally:
            self.askers -= 1
            if not self.askers:
                self.task.cancel()


class DeviceFile(Devices):
    """A device database file. Made by `DeviceFile.open`.

    Args:
        path: The file.
        database: Its content.
        seen: The file's stamp before that was read.

    """

    def __init__(self, path: Path, database: DeviceDatabase, seen: Stamp = frozenset()) -> None:
        super().__init__(database)
        _warn_of_aliases(database)
        self.path: Final = path
        self._seen = seen
        self._scanning = asyncio.Lock()
        self._waiting: _Reading | None = None

    @property
    def askers(self) -> int:
        """Number of those who wait for the next reading, one that has begun left out."""
        return 0 if self._waiting is None else self._waiting.askers

    @classmethod
    async def open(cls, path: Path) -> "DeviceFile":
        """Load a file.

        Raises:
            DatabaseLoadError: The file is bad; the text has file and line.

        """
        seen = stamp(path)
        return cls(path, await load_apart(path), seen)

    async def scan(self) -> None:
        """Read the file again and publish the differences.

        All who ask while the file is being read share one reading after it, so that many askers cost two readings. A
        reading is given up once all who asked for it have been cancelled.

        Raises:
            DatabaseLoadError: The file is bad; the devices are unchanged.

        """
        reading = self._waiting
        if reading is None:
            reading = self._waiting = _Reading()
            reading.task = asyncio.create_task(self._read_again(reading))
        await reading.end()

    async def _read_again(self, reading: "_Reading") -> None:
        try:
            async with self._scanning:
                self._close(reading)
                await self._load()
        finally:
            self._close(reading)

    def _close(self, reading: "_Reading") -> None:
        """Let nobody share a reading any more: who asks from now on may know of a later change."""
        if self._waiting is reading:
            self._waiting = None

    async def _load(self) -> None:
        self._seen = stamp(self.path)
        try:
            database = await load_apart(self.path)
        except DatabaseLoadError as error:
            kept = DatabaseLoadError(
                error.origin,
                error.line,
                f"{error.problem}. The {len(self.database)} devices stay as they were",
            )
            _log.error("scan of the device database failed: %s", kept)
            raise kept from None
        _log.info("%s was read again: %s", self.path, self.follow(database))
        _warn_of_aliases(database)

    async def watch(self, interval: float) -> None:
        """Scan whenever the file or a Python file beside it changes, until cancelled; a bad file is logged."""
        while True:
            await asyncio.sleep(interval)
            if stamp(self.path) != self._seen:
                await self.scan_and_log()

    async def scan_and_log(self) -> None:
        """Scan without raising; `scan` has logged the error."""
        try:
            await self.scan()
        except DatabaseLoadError:
            return


class DeviceTarget:
    """The RPC target `device_db`, as in ARTIQ."""

    def __init__(self, devices: Devices) -> None:
        self.__devices: Final = devices

    def get_device_db(self) -> dict[str, Any]:
        """Return the whole database: {name: entry, or the target of an alias}."""
        return self.__devices.database.raw

    def get(self, key: str, resolve_alias: bool = False) -> Any:
        """Return the entry of a device; for an alias, its target, or with `resolve_alias` the entry at its end."""
        database = self.__devices.database
        if not resolve_alias:
            return database.raw[key]
        try:
            return database.raw[walk(database.raw, key, database.origin)[-1]]
        except UnknownDeviceError as error:
            raise KeyError(str(error)) from None

    def get_satellite_cpu_target(self, destination: int) -> str:
        """Return the CPU type of a satellite, from the arguments of the core device."""
        core = self.get("core", resolve_alias=True)
        target: str = core["arguments"]["satellite_cpu_targets"][destination]
        return target

    @ends_with_client
    async def scan(self) -> None:
        """Read the database file again. A bad file changes nothing, and the error names its line."""
        await self.__devices.scan()


def _warn_of_aliases(database: DeviceDatabase) -> None:
    for name, entry in database.raw.items():
        if isinstance(entry, str):
            try:
                walk(database.raw, name, database.origin)
            except (AliasLoopError, UnknownDeviceError) as error:
                _log.warning("%s", error)

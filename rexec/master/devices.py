"""The devices that a master serves: of a file that is read again on demand, or of a run. A bad file changes nothing."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from devicedb import AliasLoopError, DatabaseLoadError, DeviceDatabase, UnknownDeviceError
from devicedb.resolve import walk
from devicedb.stamp import stamp
from rexec.master.errors import NotServedError
from rexec.master.loading import load_apart
from rexec.wire.sync_struct import Notifier, update_from_dict

_log = logging.getLogger(__name__)


class Devices:
    """A device database with those who follow it. Belongs to the master's event loop.

    Args:
        database: The database as it is at first.

    """

    def __init__(self, database: DeviceDatabase) -> None:
        self.database = database
        self.notifier: Final = Notifier(dict(database.raw))

    async def scan(self) -> None:
        """Refuse: this database is of a run that has begun.

        Raises:
            NotServedError: Always.

        """
        raise NotServedError("the device database of a run stays as it was when the run began")

    def follow(self, database: DeviceDatabase) -> str:
        """Take another database, tell those who follow what differs, and return that as text."""
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


class DeviceFile(Devices):
    """A device database file. Made by `DeviceFile.open`.

    Args:
        path: The file.
        database: What is in it now.

    """

    def __init__(self, path: Path, database: DeviceDatabase) -> None:
        super().__init__(database)
        _warn_of_aliases(database)
        self.path: Final = path
        self._seen = stamp(path)
        self._scanning = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> "DeviceFile":
        """Load a file that must be good at first.

        Raises:
            DatabaseLoadError: It is not; with file and line.

        """
        return cls(path, await load_apart(path))

    async def scan(self) -> None:
        """Read the file again; those who follow are told what differs.

        Raises:
            DatabaseLoadError: The file is bad, with file and line; the devices are as before.

        """
        async with self._scanning:
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
        """Scan each time the file, or one beside it, has changed, for ever; a bad file is logged."""
        while True:
            await asyncio.sleep(interval)
            if stamp(self.path) != self._seen:
                await self.scan_and_log()

    async def scan_and_log(self) -> None:
        """Scan on nobody's behalf: what is wrong is in the log already."""
        try:
            await self.scan()
        except DatabaseLoadError:
            return


class DeviceTarget:
    """The devices of this master: what ARTIQ's `device_db` target offers."""

    def __init__(self, devices: Devices) -> None:
        self.__devices: Final = devices

    def get_device_db(self) -> dict[str, Any]:
        """Return the whole database: {name: entry, or the name that an alias stands for}."""
        return self.__devices.database.raw

    def get(self, key: str, resolve_alias: bool = False) -> Any:
        """Return the entry of a device; of an alias the name that it stands for, or the entry it leads to."""
        database = self.__devices.database
        if not resolve_alias:
            return database.raw[key]
        try:
            return database.raw[walk(database.raw, key, database.origin)[-1]]
        except UnknownDeviceError as error:
            raise KeyError(str(error)) from None

    def get_satellite_cpu_target(self, destination: int) -> str:
        """Return the processor type of a satellite, from the arguments of the core device."""
        core = self.get("core", resolve_alias=True)
        target: str = core["arguments"]["satellite_cpu_targets"][destination]
        return target

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

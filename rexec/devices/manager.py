"""The device manager: names of a device database become connected clients and constructed drivers."""

import logging
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final

from devicedb import DeviceDatabase, Endpoint, load_file
from rexec.devices.connect import connect
from rexec.devices.errors import DeviceLoopError
from rexec.devices.local import DummyDevice, construct
from rexec.devices.master import fetch_database
from schemas import LocalDevice

logger = logging.getLogger(__name__)

BeforeConnect = Callable[[Endpoint], None]
"""Called before a controller is connected to; `rexec run --up` starts it there."""


class DeviceManager:
    """Gives out the devices of a database, each of them once, and closes them.

    A device is one entry: its aliases share one object. So do local devices and controllers whose
    descriptions agree in all that matters to a connection. Auxiliary targets never do: each has its own
    namespace on the controller.

    Args:
        database: What is written down.
        virtual_devices: Objects by name, which come before the database: `scheduler`, `ccb`.
        before_connect: Called with the endpoint of each controller before it is connected to.
        connect_timeout: Seconds that a controller has to accept a connection and to say its first words.

    """

    def __init__(
        self,
        database: DeviceDatabase,
        virtual_devices: Mapping[str, Any] | None = None,
        *,
        before_connect: BeforeConnect | None = None,
        connect_timeout: float = 10.0,
    ) -> None:
        self.database: Final = database
        self.virtual_devices: dict[str, Any] = dict(virtual_devices or {})
        self._before_connect = before_connect
        self._connect_timeout = connect_timeout
        self._active: dict[str, Any] = {}
        """Objects by the name of the entry that made them, in the order of creation."""
        self._keys: list[tuple[object, Any]] = []
        self._building: list[str] = []

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Any) -> "DeviceManager":
        """Return the manager of a `device_db.py`; see `devicedb.load_file` for what it raises."""
        return cls(load_file(path), **options)

    @classmethod
    def from_master(cls, host: str, port: int = 3251, **options: Any) -> "DeviceManager":
        """Return the manager of the database of a running ARTIQ master.

        Raises:
            MasterUnreachable: Nothing answers there in time, or what answers has no device database.

        """
        return cls(fetch_database(host, port), **options)

    def get_device_db(self) -> dict[str, Any]:
        """Return the whole database as written."""
        return self.database.raw

    def get_desc(self, name: str) -> dict[str, Any]:
        """Return the entry that a name stands for, as written; raises as `DeviceDatabase.resolve` does."""
        return self.database.resolve(name).raw

    def get(self, name: str) -> Any:
        """Return a device: a driver, or a client of its controller.

        Raises:
            DeviceDBError: The name or its entry is wrong.
            DeviceError: The driver cannot be constructed, or the controller cannot be reached.

        """
        if name in self.virtual_devices:
            return self.virtual_devices[name]
        resolution = self.database.resolve(name)
        entry_name = resolution.entry_name
        if entry_name in self._active:
            return self._active[entry_name]
        entry = resolution.entry
        if isinstance(entry, LocalDevice):
            key: object = (entry.module, entry.class_, entry.arguments)
            device = self._shared(key)
            if device is None:
                device = self._construct(name, entry_name, entry)
        elif entry.type == "dummy":
            key, device = None, DummyDevice()
        else:
            endpoint = self.database.endpoint(name)
            address = (endpoint.host, endpoint.port, endpoint.target_name, endpoint.best_effort, endpoint.tls)
            key = address if entry.type == "controller" else None
            device = self._shared(key)
            if device is None:
                device = self._connect(endpoint)
        if key is not None:
            self._keys.append((key, device))
        self._active[entry_name] = device
        return device

    def _shared(self, key: object) -> Any | None:
        """Return the device of an entry that says the same."""
        return next((device for each, device in self._keys if each == key), None) if key is not None else None

    def _construct(self, name: str, entry_name: str, entry: LocalDevice) -> Any:
        if entry_name in self._building:
            loop = " -> ".join((*self._building[self._building.index(entry_name) :], entry_name))
            raise DeviceLoopError(
                f"device {entry_name!r} cannot be constructed: drivers in {self.database.origin} need each "
                f"other in a loop ({loop})"
            )
        self._building.append(entry_name)
        try:
            return construct(self, name, entry_name, entry)
        finally:
            self._building.pop()

    def ensure_started(self, name: str) -> None:
        """Have a controller started where the run starts them: for local drivers that connect by themselves.

        Raises:
            DeviceDBError: The name is no controller's, or its entry is wrong.
            DeviceError: It could not be started.

        """
        self._prepare(self.database.endpoint(name))

    def _prepare(self, endpoint: Endpoint) -> None:
        if self._before_connect is not None:
            self._before_connect(endpoint)

    def _connect(self, endpoint: Endpoint) -> Any:
        self._prepare(endpoint)
        return connect(endpoint, self.database.raw[endpoint.controller], self._connect_timeout)

    def active(self) -> dict[str, Any]:
        """Return the devices that were given out, by entry, in the order of their creation."""
        return dict(self._active)

    def notify_run_end(self) -> None:
        """Call `notify_run_end` of the devices that have it; an error of one is logged."""
        for name, device in self._distinct():
            try:
                notify = getattr(device, "notify_run_end", None)
                if notify is not None and not hasattr(device, "close_rpc"):
                    notify()
            except Exception:
                logger.exception("device %r: notify_run_end failed", name)

    def close_devices(self) -> None:
        """Close the devices in reverse order of creation; an error is logged and the rest still closes."""
        devices = self._distinct()
        self._active.clear()
        self._keys.clear()
        for name, device in reversed(devices):
            try:
                close = getattr(device, "close_rpc", None) or getattr(device, "close", None)
                if close is not None:
                    close()
            except Exception as error:
                logger.error("device %r: closing failed: %s: %s", name, type(error).__name__, error)
                logger.debug("device %r: closing failed", name, exc_info=True)

    def _distinct(self) -> list[tuple[str, Any]]:
        """Return each device once, with the first of its names."""
        found: dict[int, tuple[str, Any]] = {}
        for name, device in self._active.items():
            found.setdefault(id(device), (name, device))
        return list(found.values())

    def __enter__(self) -> "DeviceManager":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close_devices()

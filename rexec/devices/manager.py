"""The device manager: returns a connected client or a constructed driver for a name of a device database."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from devicedb import SIMULATED, DeviceDatabase, DeviceDBError, Endpoint, from_dict, load_file
from rexec.devices.errors import DeviceLoopError, DeviceUnreachable
from rexec.devices.local import DummyDevice, construct
from rexec.devices.master import fetch_database

if TYPE_CHECKING:
    from rexec.devices.leases import DeviceLeases
    from schemas.device_db import LocalDevice

logger = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two attempts to have a device that another client uses."""

BeforeConnect = Callable[[Endpoint], None]
"""Called before the connection to a controller; `rexec run --up` starts the controller there."""


def _as_written(entry: Any) -> Any:
    """Return an entry of the database; that of a stand-in as the entry of the driver, which experiments look for."""
    arguments = entry.get("arguments") if isinstance(entry, dict) and entry.get(SIMULATED) else None
    if not isinstance(arguments, dict) or "driver" not in arguments:
        return entry
    module, _, name = arguments["driver"].rpartition(".")
    return {**entry, "module": module, "class": name, "arguments": arguments.get("arguments", {})}


def _loaded(database: DeviceDatabase | Mapping[str, Any] | str | os.PathLike[str]) -> DeviceDatabase:
    if isinstance(database, DeviceDatabase):
        return database
    if isinstance(database, Mapping):
        return from_dict(dict(database), "the dict that was given")
    return load_file(database)


class DeviceManager:
    """Creates the devices of a database, each once, and closes them.

    Aliases of an entry share one object. So do local devices and controllers whose entries agree in everything that
    matters to the connection. Auxiliary targets are never shared, because each has its own namespace on the controller.

    Args:
        database: The device database: loaded already, a dict of entries, or the path of a `device_db.py`.
        virtual_devices: Objects by name that take precedence over the database: `scheduler`, `ccb`.
        before_connect: Called with the endpoint of each controller before the connection.
        connect_timeout: Seconds for a controller to accept a connection and to send its greeting.
        wait: Seconds to wait for a device that another client uses alone, or that is to be used alone.

    """

    def __init__(
        self,
        database: DeviceDatabase | Mapping[str, Any] | str | os.PathLike[str],
        virtual_devices: Mapping[str, Any] | None = None,
        *,
        before_connect: BeforeConnect | None = None,
        connect_timeout: float = 10.0,
        wait: float = 0.0,
    ) -> None:
        self.database: Final = _loaded(database)
        self.virtual_devices: dict[str, Any] = dict(virtual_devices or {})
        self._before_connect = before_connect
        self._connect_timeout = connect_timeout
        self.asked: dict[str, None] = {}
        """Names of the database that were asked for, and of the entries that they lead to, in order."""
        self._active: dict[str, Any] = {}
        """Devices by the name of their entry, in the order of creation."""
        self._keys: list[tuple[object, Any]] = []
        self._building: list[str] = []
        self.connecting: tuple[Endpoint, float] | None = None
        """Controller that is being started or connected to, and since when (monotonic time)."""
        self.waiting: str | None = None
        """What it waits for, while a device is used by another client."""
        self._wait = wait
        self._leases: DeviceLeases | None = None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Any) -> "DeviceManager":
        """Return the manager of a `device_db.py`; see `devicedb.load_file` for what it raises."""
        return cls(load_file(path), **options)

    @classmethod
    def from_master(cls, host: str, port: int = 3251, **options: Any) -> "DeviceManager":
        """Return the manager of the database of a running ARTIQ master.

        Raises:
            MasterUnreachable: The server does not answer in time, or has no device database.

        """
        return cls(fetch_database(host, port), **options)

    def get_device_db(self) -> dict[str, Any]:
        """Return the whole database as a dict; simulated local devices as those that they stand in for."""
        return {name: _as_written(entry) for name, entry in self.database.raw.items()}

    def get_desc(self, name: str) -> dict[str, Any]:
        """Return the raw entry of a name; raises as `DeviceDatabase.resolve` does."""
        entry: dict[str, Any] = _as_written(self.database.resolve(name).raw)
        return entry

    def get(self, name: str, exclusive: bool = False) -> Any:
        """Return a device: a driver, or a client of its controller.

        Args:
            name: Its name.
            exclusive: Use its controller alone, as with `"exclusive": True` in the controller's entry.

        Raises:
            DeviceDBError: The name or its entry is wrong.
            DeviceBusy: Another client uses the device, and one of both wants it alone.
            DeviceError: The driver cannot be constructed, or the controller cannot be reached.

        """
        if name in self.virtual_devices:
            return self.virtual_devices[name]
        resolution = self.database.resolve(name)
        entry_name = resolution.entry_name
        self.asked |= dict.fromkeys((name, entry_name))
        if entry_name in self._active:
            if exclusive and resolution.entry.type.startswith("controller"):
                self._lease(self.database.endpoint(name), exclusive)
            return self._active[entry_name]
        entry = resolution.entry
        if entry.type == "local":
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
                device = self._connect(endpoint, exclusive)
            elif exclusive:
                self._lease(endpoint, exclusive)
        if key is not None:
            self._keys.append((key, device))
        self._active[entry_name] = device
        return device

    def _shared(self, key: object) -> Any | None:
        """Return the device of an equivalent entry, or None."""
        return next((device for each, device in self._keys if each == key), None) if key is not None else None

    def _construct(self, name: str, entry_name: str, entry: "LocalDevice") -> Any:
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
        """Start a controller if the run starts controllers, for local drivers that connect by themselves.

        Raises:
            DeviceDBError: The name is not a controller's, or its entry is wrong.
            DeviceError: The controller could not be started.

        """
        self._prepare(self.database.endpoint(name))

    def _prepare(self, endpoint: Endpoint) -> None:
        if self._before_connect is not None:
            self._before_connect(endpoint)

    def _connect(self, endpoint: Endpoint, exclusive: bool) -> Any:
        """Return a connected client, once its controller knows that this process uses it."""
        device = self._client_at_last(endpoint)
        is_closed = False

        def close() -> None:
            nonlocal is_closed
            is_closed = True
            device.close_rpc()

        try:
            self._lease(endpoint, exclusive, close)
        except BaseException:
            close()
            raise
        return self._client(endpoint) if is_closed else device

    def _client_at_last(self, endpoint: Endpoint) -> Any:
        """Return a connected client; wait for a controller that answers nobody while it is in a call."""
        deadline = time.monotonic() + self._wait
        try:
            while True:
                try:
                    return self._client(endpoint)
                except DeviceUnreachable as error:
                    if not error.in_a_call or time.monotonic() >= deadline:
                        raise
                    self._wait_for(f"waits for {endpoint.controller}: it is in a call, or hung")
                    time.sleep(LOOK)
        finally:
            self._wait_for(None)

    def _client(self, endpoint: Endpoint) -> Any:
        from rexec.devices.connect import connect  # remote execution: only for runs that have controllers

        self.connecting = endpoint, time.monotonic()
        try:
            self._prepare(endpoint)
            return connect(endpoint, self.database.raw[endpoint.controller], self._connect_timeout)
        finally:
            self.connecting = None

    def _lease(
        self, endpoint: Endpoint, exclusive: bool, before_waiting: Callable[[], None] = lambda: None
    ) -> None:
        """Tell a controller that this process uses it."""
        from rexec.devices.leases import DeviceLeases, is_exclusive

        if self._leases is None:
            self._leases = DeviceLeases(self.database, self._wait, self._wait_for)
        is_alone = exclusive or is_exclusive(self.database.raw[endpoint.controller])
        self._leases.take(endpoint, is_alone, before_waiting)

    def _wait_for(self, text: str | None) -> None:
        self.waiting = text

    def active(self) -> dict[str, Any]:
        """Return the created devices by entry, in the order of creation."""
        return dict(self._active)

    def shared_controllers(self) -> dict[str, str]:
        """Return the connected controllers that others have used meanwhile, and who, as far as that is known."""
        from rexec.devices.peers import Connections  # psutil: only for runs that have controllers

        ports: dict[str, int] = {}
        for name in list(self._active):
            try:
                endpoint = self.database.endpoint(name)
            except DeviceDBError:  # no controller
                continue
            ports.setdefault(endpoint.controller, endpoint.port)
        leases = self._leases.shared() if self._leases is not None else {}
        waiting = self._leases.waiting() if self._leases is not None else set()
        connected = Connections().others() if ports else {}
        found = {}
        for name, port in ports.items():
            users = leases.get(name, [])
            known = tuple(f"pid {pid} (" for pid in {*waiting, *(user.pid for user in users)})
            others = [each for each in connected.get(port, ()) if not each.startswith(known)]
            if users or others:
                found[name] = ", ".join([*map(str, users), *others])
        return found

    def lease_troubles(self) -> list[str]:
        """Return which leases of controllers were lost to others."""
        return list(self._leases.troubles) if self._leases is not None else []

    def __repr__(self) -> str:
        return f"<DeviceManager of {self.database.origin}: {len(self.database.raw)} names, {len(self._active)} in use>"

    def _repr_html_(self) -> str:
        from devicedb.html import heading, table

        rows = [
            (
                name,
                entry if isinstance(entry, str) else entry.get("type", "?"),
                repr(self._active[name]) if name in self._active else "",
            )
            for name, entry in self.database.raw.items()
            if isinstance(entry, str | dict)
        ]
        return heading("Devices", f"of {self.database.origin}") + table(("name", "type", "in use as"), rows)

    def notify_run_end(self) -> None:
        """Call `notify_run_end` of the devices that have it; log errors."""
        for name, device in self._distinct():
            try:
                notify = getattr(device, "notify_run_end", None)
                if notify is not None and not hasattr(device, "close_rpc"):
                    notify()
            except Exception:
                logger.exception("device %r: notify_run_end failed", name)

    def close_devices(self) -> None:
        """Close the devices in reverse order of creation; log errors and close the rest."""
        devices = self._distinct()
        self._active.clear()
        self._keys.clear()
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.close()
        for name, device in reversed(devices):
            try:
                close = getattr(device, "close_rpc", None) or getattr(device, "close", None)
                if close is not None:
                    close()
            except Exception as error:
                logger.error("device %r: closing failed: %s: %s", name, type(error).__name__, error)
                logger.debug("device %r: closing failed", name, exc_info=True)

    def _distinct(self) -> list[tuple[str, Any]]:
        """Return each device once, with its first name."""
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

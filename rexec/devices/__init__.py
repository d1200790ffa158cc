"""From a device database to devices: connected clients of controllers, constructed local drivers."""

from rexec.devices.errors import (
    DeviceError,
    DeviceLoopError,
    DeviceProtocolError,
    DeviceTargetError,
    DeviceUnreachable,
    LocalDeviceError,
    MasterUnreachable,
)
from rexec.devices.local import DummyDevice
from rexec.devices.manager import DeviceManager
from rexec.devices.master import fetch_database

__all__ = [
    "DeviceError",
    "DeviceLoopError",
    "DeviceManager",
    "DeviceProtocolError",
    "DeviceTargetError",
    "DeviceUnreachable",
    "DummyDevice",
    "LocalDeviceError",
    "MasterUnreachable",
    "fetch_database",
]

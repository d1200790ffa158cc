"""Devices from a device database: connected clients of controllers, constructed local drivers."""

from rexec.devices.errors import (
    DeviceBusy,
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
    "DeviceBusy",
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

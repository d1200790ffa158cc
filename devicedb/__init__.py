"""What is written down: reads a `device_db.py`, resolves its names, checks it. No network, no arrays."""

from devicedb.command import command_line
from devicedb.database import SIMULATED, DeviceDatabase, from_dict, load_file
from devicedb.errors import (
    AliasLoopError,
    CommandTemplateError,
    DatabaseLoadError,
    DeviceDBError,
    InvalidEntryError,
    MissingVariableError,
    NotAControllerError,
    UnknownDeviceError,
)
from devicedb.resolve import Endpoint, Resolution, TLSFiles

__all__ = [
    "SIMULATED",
    "AliasLoopError",
    "CommandTemplateError",
    "DatabaseLoadError",
    "DeviceDBError",
    "DeviceDatabase",
    "Endpoint",
    "InvalidEntryError",
    "MissingVariableError",
    "NotAControllerError",
    "Resolution",
    "TLSFiles",
    "UnknownDeviceError",
    "command_line",
    "from_dict",
    "load_file",
]

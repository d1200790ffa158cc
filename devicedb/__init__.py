"""What is written down: reads a `device_db.py`, resolves its names, checks it. No network, no arrays.

Public names are imported on first use, because the check, and the process in which a database is run, need few of them.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_HOMES: Final = {
    "SIMULATED": "devicedb.database",
    "AliasLoopError": "devicedb.errors",
    "CommandTemplateError": "devicedb.errors",
    "DatabaseLoadError": "devicedb.errors",
    "DeviceDBError": "devicedb.errors",
    "DeviceDatabase": "devicedb.database",
    "Endpoint": "devicedb.resolve",
    "InvalidEntryError": "devicedb.errors",
    "MissingVariableError": "devicedb.errors",
    "NotAControllerError": "devicedb.errors",
    "Resolution": "devicedb.resolve",
    "TLSFiles": "devicedb.resolve",
    "UnknownDeviceError": "devicedb.errors",
    "command_line": "devicedb.command",
    "from_dict": "devicedb.database",
    "load_file": "devicedb.database",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

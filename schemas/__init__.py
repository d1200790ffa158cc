"""What may be written down: models of device database entries, reports, runs and results. No I/O."""

from schemas.device_db import (
    ENTRY_ADAPTER,
    Alias,
    Controller,
    ControllerAuxTarget,
    DeviceDB,
    DummyDevice,
    Entry,
    LocalDevice,
    TLSConfig,
)
from schemas.run import GitState, RunIdentity

__all__ = [
    "ENTRY_ADAPTER",
    "Alias",
    "Controller",
    "ControllerAuxTarget",
    "DeviceDB",
    "DummyDevice",
    "Entry",
    "GitState",
    "LocalDevice",
    "RunIdentity",
    "TLSConfig",
]

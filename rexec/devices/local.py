"""Constructs the drivers that live in the experiment's own process."""

import importlib
import traceback
from typing import Any

from devicedb import DeviceDBError
from devicedb.suggest import did_you_mean
from rexec.devices.errors import DeviceError, LocalDeviceError
from schemas import LocalDevice


class DummyDevice:
    """What an entry of type `dummy` gives: an object without methods, as in ARTIQ."""


def construct(manager: object, name: str, entry_name: str, entry: LocalDevice) -> Any:
    """Return `Class(manager, **arguments)` of a local device.

    Args:
        manager: The device manager, which the driver asks for the devices that it needs.
        name, entry_name: Name that was asked for, and of the entry behind it.
        entry: The entry.

    Raises:
        LocalDeviceError: The module or class is missing, or the constructor fails.
        DeviceError, DeviceDBError: A device that the driver needs cannot be had.

    """
    what = f"device {name!r} (entry {entry_name!r}: {entry.module}.{entry.class_})"
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        missing = error.name or entry.module
        top = entry.module.partition(".")[0]
        advice = "install it, or put its folder on PYTHONPATH"
        if top == missing == "artiq":
            advice = "ARTIQ is not installed here (`rexec run --simulate` has stand-ins)"
        raise LocalDeviceError(f"{what}: there is no module {missing!r}; {advice}") from error
    except Exception as error:
        raise LocalDeviceError(f"{what}: importing it raised {_short(error)}") from error
    if not hasattr(module, entry.class_):
        hint = did_you_mean(entry.class_, [each for each in vars(module) if not each.startswith("_")])
        raise LocalDeviceError(f"{what}: the module {module.__file__} has no {entry.class_!r}.{hint}")
    try:
        return getattr(module, entry.class_)(manager, **entry.arguments)
    except (DeviceError, DeviceDBError):
        raise
    except Exception as error:
        raise LocalDeviceError(f"{what}: its constructor raised {_short(error)}") from error


def _short(error: Exception) -> str:
    """Return class, text and innermost line of an error that a driver raised."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{text} ({inner[-1].filename}:{inner[-1].lineno})" if inner else text

"""Constructs the drivers of local devices."""

import importlib
import traceback
from typing import TYPE_CHECKING, Any

from devicedb import DeviceDBError
from devicedb.suggest import did_you_mean
from rexec.devices.errors import DeviceError, LocalDeviceError

if TYPE_CHECKING:
    from schemas.device_db import LocalDevice


class DummyDevice:
    """The device of an entry of type `dummy`: an object without methods, as in ARTIQ."""


def construct(manager: object, name: str, entry_name: str, entry: "LocalDevice") -> Any:
    """Return `Class(manager, **arguments)` of a local device.

    Args:
        manager: The device manager, from which the driver gets the devices that it needs.
        name, entry_name: The requested name, and the name of its entry.
        entry: The entry.

    Raises:
        LocalDeviceError: The module or class is missing, or the constructor fails.
        DeviceError, DeviceDBError: A device that the driver needs is not available.

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
        raise LocalDeviceError(f"{what}: no module {missing!r}; {advice}") from error
    except Exception as error:
        raise LocalDeviceError(f"{what}: importing it raised {_short(error)}") from error
    if not hasattr(module, entry.class_):
        hint = did_you_mean(entry.class_, [each for each in vars(module) if not each.startswith("_")])
        raise LocalDeviceError(f"{what}: module {module.__file__} has no {entry.class_!r}.{hint}")
    try:
        return getattr(module, entry.class_)(manager, **entry.arguments)
    except (DeviceError, DeviceDBError):
        raise
    except Exception as error:
        raise LocalDeviceError(f"{what}: its constructor raised {_short(error)}") from error


def _short(error: Exception) -> str:
    """Return class, text and innermost line of a driver's error."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{text} ({inner[-1].filename}:{inner[-1].lineno})" if inner else text

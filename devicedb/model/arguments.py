"""Names of devices in the arguments of a local device."""

from collections.abc import Iterator
from typing import Any, Final

NAMES_A_DEVICE: Final = frozenset({"core", "host_mirny"})
EEPROM: Final = frozenset({"sync_delay_seed", "io_update_delay"})
"""Arguments that are a number, or "DEVICE:offset"."""


def device_names(key: str, value: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Names of devices in an argument, each with its path."""
    if key in EEPROM:
        if isinstance(value, str) and ":" in value:
            yield value.partition(":")[0], (key,)
        return
    if not (key in NAMES_A_DEVICE or key.endswith(("_device", "_devices"))):
        return
    yield from names_in(key, value)


def names_in(key: str, value: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Names in the value of an argument that names one device or several, each with its path."""
    values = [(value, (key,))]
    if isinstance(value, list | tuple):
        values = [(each, (key, index)) for index, each in enumerate(value)]  # type: ignore[misc]
    for each, path in values:
        # Drivers of a laboratory may call /dev/ttyUSB0 or COM3:9600 a device.
        if isinstance(each, str) and each and not any(mark in each for mark in "/\\: "):
            yield each, path

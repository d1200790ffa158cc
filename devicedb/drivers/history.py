"""Drivers of older ARTIQ releases, and what replaced them. Source: ARTIQ's release notes."""

from typing import Final

ARTIQ: Final = "artiq.coredevice."
NOTHING: Final = "nothing replaced it: remove the entry"

REPLACED: Final[dict[str, str]] = {
    "ad5360.AD5360": "ad53xx.AD53xx",
    "ad9154_spi.AD9154": "",
    "basemod_att.BaseModAtt": "",
    "comm_tcp.Comm": "",
    "dds.AD9914": "ad9914.AD9914",
    "dds.DDSChannelAD9914": "ad9914.AD9914",
    "dds.DDSGroupAD9914": "ad9914.AD9914",
    "dds.DDSBus": "",
    "dds.CoreDDS": "",
    "i2c.PCA9548": "i2c.I2CSwitch",
    "i2c.PCA954X": "i2c.I2CSwitch",
    "mirny.Almazny": "almazny.AlmaznyLegacy",
    "pcu.CorePCU": "",
    "sawg.SAWG": "",
    "shiftreg.ShiftReg": "",
    "spi.NRTSPIMaster": "spi2.NRTSPIMaster",
    "spi.SPIMaster": "spi2.SPIMaster",
}
"""Driver that a release no longer has -> its replacement, "" if there is none."""


REMOVED_ARGUMENTS: Final[dict[str, dict[str, str]]] = {
    "core.Core": {"external_clock": "the core device's own setting rtio_clock replaced it"},
}
"""Driver -> arguments that no release in the catalogue takes, and what replaced each."""

MERGED_ARGUMENTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "suservo.SUServo": {
        "cpld_devices": ("cpld0_device", "cpld1_device"),
        "dds_devices": ("dds0_device", "dds1_device"),
    },
}
"""Driver -> arguments that are lists now -> the arguments of older releases that name the devices one by one."""


def replaced_by(module: str, name: str) -> tuple[str, str] | None:
    """Return module and class of what replaced a driver that is gone; None if nothing did, or it is not known."""
    new_module, _, new_name = REPLACED.get(f"{module.removeprefix(ARTIQ)}.{name}", "").partition(".")
    return (ARTIQ + new_module, new_name) if new_name else None


def removed_argument(module: str, name: str, argument: str) -> str | None:
    """Return what replaced an argument that a driver no longer takes, None if its history is not known."""
    return REMOVED_ARGUMENTS.get(f"{module.removeprefix(ARTIQ)}.{name}", {}).get(argument)


def merged_argument(module: str, name: str, argument: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the list that replaced an argument, and all arguments that it replaced; None for other arguments."""
    for new, old in MERGED_ARGUMENTS.get(f"{module.removeprefix(ARTIQ)}.{name}", {}).items():
        if argument in old:
            return new, old
    return None


def replacement(module: str, name: str) -> str | None:
    """Return what to write instead of a driver that is gone, None if its history is not known."""
    if f"{module.removeprefix(ARTIQ)}.{name}" not in REPLACED:
        return None
    new = replaced_by(module, name)
    return f'write "module": "{new[0]}", "class": "{new[1]}"' if new else NOTHING


def gone_with(releases: tuple[str, ...], chosen: str) -> str:
    """Return in which release a driver went or came, for a message.

    Args:
        releases: Those that have it; empty: none that is known.
        chosen: The release that does not have it.

    """
    if not releases:
        return "it went in ARTIQ 7 or before"
    if int(releases[-1]) < int(chosen):
        return f"it went in ARTIQ {int(releases[-1]) + 1}"
    return f"it came with ARTIQ {releases[0]}"

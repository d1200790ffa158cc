"""Finds which constructor values ARTIQ's drivers refuse, by constructing them; ARTIQ's source is not read.

Run by an interpreter that has ARTIQ, without installing this toolkit there:

    ARTIQ_PYTHON -P devicedb/catalogue/probe.py 9 devicedb/catalogue/artiq_constraints.json

Every driver is constructed with working arguments. Then each argument is replaced by values of other types, other
numbers, and other devices; what raises is refused. The file keeps its other releases.
"""

import copy
import importlib
import inspect
import json
import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sandbox"))
from construct_child import construct  # type: ignore[import-not-found]

DEPENDENT = frozenset({"pll_n", "pll_vco", "sync_div", "refclk", "sysclk", "input_sample_rate", "channel"})
"""Numbers whose limits depend on others; `devicedb.rules.clocks` has the formulas of clocks."""

EEPROM = frozenset({"sync_delay_seed", "sync_delay_seeds", "io_update_delay"})
"""Numbers, or DEVICE:OFFSET in several of them at once."""

TYPES: "dict[str, list[Any]]" = {
    "str": ["text", "7", ""],
    "NoneType": [None],
    "list": [[], ["text"], [0]],
    "dict": [{}],
    "int": [0, 1, 4, 8, 32, 100, 10**6],
    "float": [0.5, 1.0, 8.0, 1e6, 1e9],
    "bool": [True, False],
}
WORDS = [
    *("rv32ima", "rv32g", "or1k", "cortexa9", "riscv", "arm", "host"),
    *("XO", "SMA", "MMCX", "xo", "sma", "mmcx", "internal", "external"),
    *(f"EEM{number}" for number in range(12)),
    *("LOC0", "LOC1", "SFP0", "SFP1", "SFP2", "SFP3", "SATA0"),
]
NUMBERS = [*range(-8, 140), 255, 256, 1000, 4096]
ABSENT = "no_such_device"


def laboratory(release: str) -> "dict[str, Any]":
    """Return a database with every driver that can be constructed, with working arguments."""

    def local(module: str, name: str, **arguments: Any) -> "dict[str, Any]":
        return {
            "type": "local",
            "module": f"artiq.coredevice.{module}",
            "class": name,
            "arguments": arguments,
        }

    target = {} if release == "7" else {"target": "rv32g"}
    found = {
        "core": local("core", "Core", host="10.0.0.2", ref_period=1e-9, **target),
        "cache": local("cache", "CoreCache"),
        "dma": local("dma", "CoreDMA"),
        "i2c_switch0": local("i2c", "I2CSwitch", address=0xE0),
        "i2c_switch1": local("i2c", "I2CSwitch", address=0xE2),
        "pcf": local("i2c", "PCF8574A"),
        "tca": local("i2c", "TCA6424A"),
        "ttl": local("ttl", "TTLOut", channel=1),
        "ttl_in": local("ttl", "TTLInOut", channel=0),
        "clock": local("ttl", "TTLClockGen", channel=2),
        "counter": local("edge_counter", "EdgeCounter", channel=3),
        "spi": local("spi2", "SPIMaster", channel=4),
        "nrt": local("spi2", "NRTSPIMaster"),
        "eeprom": local("kasli_i2c", "KasliEEPROM", port="EEM0"),
        "cpld": local("urukul", "CPLD", spi_device="spi", io_update_device="ttl", refclk=125e6, clk_sel=2),
        "ad9910": local("ad9910", "AD9910", chip_select=4, cpld_device="cpld", pll_n=32),
        "ad9912": local("ad9912", "AD9912", chip_select=4, cpld_device="cpld", pll_n=8),
        "ad9914": local("ad9914", "AD9914", sysclk=3e9, bus_channel=5, channel=0),
        "ad53xx": local("ad53xx", "AD53xx", spi_device="spi"),
        "zotino": local("zotino", "Zotino", spi_device="spi"),
        "sampler": local("sampler", "Sampler", spi_adc_device="spi", spi_pgia_device="spi", cnv_device="ttl"),
        "novogorny": local("novogorny", "Novogorny", spi_device="spi", cnv_device="ttl"),
        "servo": local(
            "suservo", "SUServo", channel=8, pgia_device="spi", cpld_devices=["cpld"], dds_devices=["ad9910"]
        ),
        "servo_channel": local("suservo", "Channel", channel=0, servo_device="servo"),
        "fastino": local("fastino", "Fastino", channel=8),
        "grabber": local("grabber", "Grabber", channel_base=9),
        "phaser": local("phaser", "Phaser", channel_base=11),
        "mirny": local("mirny", "Mirny", spi_device="spi", refclk=100e6, clk_sel="XO"),
        "adf5356": local("adf5356", "ADF5356", cpld_device="mirny", sw_device="ttl", channel=0),
        "dummy": {"type": "dummy"},
    }
    if release == "7":
        one = dict.fromkeys(("rst_n", "clk", "le", "mosi", "miso"), "ttl")
        found |= {
            "almazny": local("mirny", "Almazny", host_mirny="mirny"),
            "sawg": local("sawg", "SAWG", channel_base=20, parallelism=2),
            "shiftreg": local("shiftreg", "ShiftReg", clk="ttl", ser="ttl", latch="ttl"),
            "basemod": local("basemod_att", "BaseModAtt", **one),
            "ad9154": local("ad9154_spi", "AD9154", spi_device="spi", chip_select=1),
        }
        return found
    found |= {
        "almazny": local("almazny", "AlmaznyChannel", host_mirny="mirny", channel=0),
        "almazny_legacy": local("almazny", "AlmaznyLegacy", host_mirny="mirny"),
        "shuttler": local("shuttler", "Config", channel=30),
        "shuttler_bias": local("shuttler", "DCBias", channel=31),
        "shuttler_dds": local("shuttler", "DDS", channel=32),
        "shuttler_trigger": local("shuttler", "Trigger", channel=33),
        "shuttler_relay": local("shuttler", "Relay", spi_device="spi"),
        "shuttler_adc": local("shuttler", "ADC", spi_device="spi"),
    }
    if release != "8":
        found |= {
            "ad9834": local("ad9834", "AD9834", spi_device="spi"),
            "cxp": local("cxp_grabber", "CXPGrabber", channel=40),
            "dac34h84": local("dac34h84", "DAC34H84", spi_device="spi", input_sample_rate=250e6),
            "hmc542b": local("hmc542b", "HMC542B", spi_device="spi"),
            "songbird": local("songbird", "Songbird", spi_device="spi", channel=41),
            "songbird_dds": local("songbird", "DDS", channel=42, config_device="songbird", dds_no=0),
            "trf": local("trf372017", "TRF372017", spi_device="spi", refclk=100e6, use_external_lo=False),
            "phaser_dds": local("phaser_drtio", "PhaserDDS", channel=43, bandwidth=100e6),
            "phaser_mt": local("phaser_drtio", "PhaserMTDDS", channel=44, sysclk=1e9, dac_device="dac34h84"),
            "shared": local("suservo", "SharedDDS", cpld_device="cpld", pll_n=32),
        }
        found["servo"]["arguments"]["dds_devices"] = ["shared"]
    return found


class Probe:
    """Constructs one driver again and again with one argument replaced."""

    def __init__(self, lab: "dict[str, Any]", name: str) -> None:
        self.lab = lab
        self.name = name

    def error(self, argument: str, value: Any) -> "str | None":
        """Return what construction raises, None if it works."""
        entry = copy.deepcopy(self.lab[self.name])
        entry["arguments"][argument] = value
        errors = construct({**self.lab, self.name: entry}, [self.name], False)["errors"]
        return next((f"{error['kind']}: {error['text']}" for error in errors.values()), None)

    def argument(self, parameter: inspect.Parameter) -> "dict[str, Any]":
        """Return what is known of one argument; empty: any value is accepted."""
        name, absent = parameter.name, f"KeyError: {ABSENT!r}"
        found: dict[str, Any] = {}
        if self.error(name, ABSENT) == absent:
            found["device"] = "one"
        elif self.error(name, [ABSENT]) == absent:
            found["device"] = "many"
        refused = []
        for kind, values in TYPES.items():
            if kind == "str" and name in EEPROM:
                continue
            if (found.get("device"), kind) in {("one", "str"), ("many", "list")}:
                continue
            if all(self.error(name, value) for value in values):
                refused.append(kind)
        given = self.lab[self.name]["arguments"].get(name, parameter.default)
        if "device" in found:
            found |= self._kinds(name, found["device"], given)
            if isinstance(parameter.default, str):
                found["default"] = parameter.default
        words = [word for word in WORDS if self.error(name, word) is None]
        if found.get("device") == "one" and not found.get("kinds", True):
            found = {}  # a table of names: KeyError for unknown ones
        if words and "device" not in found and name not in EEPROM and self.error(name, "text"):
            found["words"] = words
            refused = [each for each in refused if each != "str"]
        if name in DEPENDENT - {"channel"}:
            refused = [each for each in refused if each not in {"int", "float", "bool"}]
        if refused:
            found["refused"] = refused
        if "device" not in found and name not in DEPENDENT and "int" not in refused:
            numbers = [number for number in NUMBERS if self.error(name, number) is None]
            if numbers and numbers[0] > NUMBERS[0]:
                found["least"] = numbers[0]
            if numbers and numbers[-1] < NUMBERS[-1]:
                found["most"] = numbers[-1]
        return found

    def _kinds(self, name: str, how: str, given: Any) -> "dict[str, Any]":
        """Return the drivers that are accepted as the device, unless all are."""
        good, bad = set(), set()
        for other, entry in self.lab.items():
            if other == self.name:
                continue
            error = self.error(name, other if how == "one" else [other])
            kind = driver_name(entry)
            if error is None:
                good.add(kind)
            elif not error.startswith("CircleError"):
                bad.add(kind)
        return {"kinds": sorted(good - bad)} if bad else {}


def driver_name(entry: "dict[str, Any]") -> str:
    """Return "ttl.TTLOut" for an entry of that driver, "dummy" for a dummy."""
    if entry["type"] != "local":
        return str(entry["type"])
    return f"{entry['module'].removeprefix('artiq.coredevice.')}.{entry['class']}"


def probe(release: str) -> "dict[str, Any]":
    """Return {driver: {argument: facts}} of the installed ARTIQ."""
    lab = laboratory(release)
    broken = construct(lab, list(lab), False)["errors"]
    if broken:
        raise SystemExit(f"these arguments do not work with ARTIQ {release}: {broken}")
    drivers: dict[str, Any] = {}
    for name, entry in lab.items():
        if entry["type"] != "local":
            continue
        constructor = getattr(importlib.import_module(entry["module"]), entry["class"]).__init__
        parameters = list(inspect.signature(constructor).parameters.values())[2:]
        facts = {each.name: Probe(lab, name).argument(each) for each in parameters}
        drivers[driver_name(entry)] = {argument: fact for argument, fact in facts.items() if fact}
    return drivers


def main() -> None:
    """Add one release to a file."""
    release, path = sys.argv[1:]
    releases = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            releases = json.load(file)["releases"]
    releases[release] = probe(release)
    about = "Constructor values that ARTIQ's drivers refuse, by release; made by devicedb/catalogue/probe.py."
    text = json.dumps({"about": about, "releases": dict(sorted(releases.items()))}, indent=0, sort_keys=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()

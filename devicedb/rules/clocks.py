"""Rules about clock settings of synthesisers. Limits: data sheets of AD9910, AD9912 and ADF5356 (Analog Devices)."""

from collections.abc import Iterator
from typing import Any, Final

from devicedb.model.database import CheckedDatabase, Entry
from devicedb.rules.local import example, ttl
from devicedb.rules.registry import Hit, Severity, entry_rule

_SPI = ttl('"channel": 0', "spi0", "SPIMaster", "artiq.coredevice.spi2")
_CPLD = ttl('"spi_device": "spi0", "refclk": 125e6, "clk_sel": 2', "cpld0", "CPLD", "artiq.coredevice.urukul")


def _dds(fields: str) -> str:
    return ttl(
        f'"cpld_device": "cpld0", "chip_select": 4{fields}', "dds0", "AD9910", "artiq.coredevice.ad9910"
    )


REFCLK: Final = 125e6
"""Default `refclk` of an Urukul CPLD, in Hz."""
_AD9910: Final = (4, 1, 2, 4)
DIVIDERS: Final = {"AD9910": _AD9910, "SharedDDS": _AD9910, "AD9912": (1, 1, 2, 4)}
"""Reference divider of the Urukul for each `clk_div`."""
VCO: Final = ((370, 510), (420, 590), (500, 700), (600, 880), (700, 950), (820, 1150))
"""Range of the AD9910's VCO for each `pll_vco`, in MHz."""
SYSCLK: Final = 1e9
PLL_INPUT: Final = 60e6
"""Largest input of the AD9910's PLL, in Hz."""
PLL_N: Final = {"AD9910": 40, "SharedDDS": 40, "AD9912": 10}
"""Default `pll_n`."""
PLL_VCO: Final = 5
"""Default `pll_vco` of the AD9910."""
MIRNY: Final = (10e6, 600e6)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@entry_rule(
    "DDB513",
    Severity.ERROR,
    "clock settings outside the chip's limits",
    why="The driver asserts the limits of the chip's data sheet: an AssertionError without a text when the device is "
    "asked for. The clock of the chip is refclk / divider * pll_n; `clk_div` of the CPLD selects the divider.",
    bad=example(_SPI, _CPLD, _dds("")),
    good=example(_SPI, _CPLD, _dds(', "pll_n": 32')),
    kinds=("local",),
)
def clock_limits(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    fault = None
    name, module = entry.text("class"), entry.text("module")
    if (module, name) == ("artiq.coredevice.mirny", "Mirny"):
        refclk = _number(entry.arguments.get("refclk", 100e6))
        if refclk is not None and not MIRNY[0] <= refclk <= MIRNY[1]:
            fault = "refclk", f"'refclk' is {_mhz(refclk)}; Mirny accepts 10 to 600 MHz"
    elif name in DIVIDERS and module in {
        "artiq.coredevice.ad9910",
        "artiq.coredevice.ad9912",
        "artiq.coredevice.suservo",
    }:
        cpld = db.entry_behind(entry.arguments.get("cpld_device"))
        if cpld is not None and cpld.text("class") == "CPLD":
            fault = _fault_of_dds(name, entry, cpld)
    if fault is not None:
        argument, text = fault
        yield Hit(entry.at("arguments", argument), f"{entry.name!r}: {text}", _hint(entry), entry.name)


def _fault_of_dds(name: str, entry: Entry, cpld: Entry) -> tuple[str, str] | None:
    """Return the argument at fault and what is wrong."""
    refclk = _number(cpld.arguments.get("refclk", REFCLK))
    division = cpld.arguments.get("clk_div", 0)
    pll_n = _number(entry.arguments.get("pll_n", PLL_N[name]))
    enabled = entry.arguments.get("pll_en", True)
    if refclk is None or pll_n is None or type(division) is not int or not 0 <= division < 4:
        return None
    if not isinstance(enabled, int):
        return None
    clock = refclk / DIVIDERS[name][division]
    at = f"refclk {_mhz(refclk)} / {DIVIDERS[name][division]}"
    if not enabled:
        return _above(clock, f"{at} without PLL", "pll_en")
    sysclk = clock * pll_n
    text = f"{at} * pll_n {pll_n:g} = {_mhz(sysclk)}"
    if name == "AD9912":
        return _above(sysclk, text, "pll_n")
    if not 12 <= pll_n <= 127:
        return "pll_n", f"'pll_n' is {pll_n:g}; the chip accepts 12 to 127"
    if clock > PLL_INPUT:
        return "pll_n", f"{at} = {_mhz(clock)}; the PLL of the chip accepts up to 60 MHz"
    vco = entry.arguments.get("pll_vco", PLL_VCO)
    if type(vco) is int and not 0 <= vco <= 5:
        return "pll_vco", f"'pll_vco' is {vco}; the chip accepts 0 to 5"
    if sysclk > SYSCLK:
        return _above(sysclk, text, "pll_n")
    if type(vco) is int and not VCO[vco][0] * 1e6 <= sysclk <= VCO[vco][1] * 1e6:
        return "pll_vco", f"{text}; 'pll_vco' {vco} accepts {VCO[vco][0]} to {VCO[vco][1]} MHz"
    return None


def _above(clock: float, text: str, argument: str) -> tuple[str, str] | None:
    if clock <= SYSCLK:
        return None
    return argument, f"{text}{'' if '=' in text else f' = {_mhz(clock)}'}; the chip accepts up to 1000 MHz"


def _mhz(frequency: float) -> str:
    return f"{frequency / 1e6:g} MHz"


def _hint(entry: Entry) -> str:
    return (
        "change 'refclk'"
        if entry.text("class") == "Mirny"
        else "change 'pll_n', or 'refclk' or 'clk_div' of the CPLD"
    )

"""The units that ARTIQ knows, each as a factor to its base unit; names as in ARTIQ."""

# ruff: noqa: N816  (these are symbols of units)
from typing import Final

__all__ = [
    "A", "GHz", "Hz", "MHz", "V", "W", "dB", "kHz", "kV", "mA", "mHz", "mV", "mW", "ms", "nW", "ns", "ps", "s", "uA",
    "uV", "uW", "us",
]  # fmt: skip

ps: Final = 1e-12
ns: Final = 1e-9
us: Final = 1e-6
ms: Final = 1e-3
s: Final = 1.0
mHz: Final = 1e-3
Hz: Final = 1.0
kHz: Final = 1e3
MHz: Final = 1e6
GHz: Final = 1e9
dB: Final = 1.0
uV: Final = 1e-6
mV: Final = 1e-3
V: Final = 1.0
kV: Final = 1e3
uA: Final = 1e-6
mA: Final = 1e-3
A: Final = 1.0
nW: Final = 1e-9
uW: Final = 1e-6
mW: Final = 1e-3
W: Final = 1.0

UNITS: Final[dict[str, float]] = {name: value for name, value in list(globals().items()) if name in __all__}
"""Symbol of a unit, factor."""

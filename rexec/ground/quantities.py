"""How a number with ARTIQ's metadata is shown: the one rule for tables, prompts, plots and exports.

Values are stored in base units. `unit` is the symbol in which people see them, `scale` the factor of that symbol,
`precision` the digits after the point (ARTIQ's `set_dataset`). A known unit without a scale has ARTIQ's scale.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rexec.ground.units import UNITS

__all__ = ["Display", "display_of"]

_BASES: Final = ("Hz", "dB", "s", "V", "A", "W")
_MOST_DIGITS: Final = 30
"""Digits after the point that are shown at most: a float has 17 that mean anything."""


@dataclass(frozen=True)
class Display:
    """How the numbers of one dataset or argument are shown.

    Attributes:
        unit: The symbol; "" without one.
        scale: What a stored number is divided by.
        precision: Digits after the point; None: six significant ones.

    """

    unit: str = ""
    scale: float = 1.0
    precision: int | None = None

    def number(self, value: Any) -> str:
        """Return a real number as text, in the unit. Never raises for an int, a float or NumPy's."""
        if self.precision is None and self.scale == 1 and not isinstance(value, float) and _is_whole(value):
            return integer(int(value))
        try:
            scaled = float(value) / self.scale
        except OverflowError:  # an int of over 308 digits
            return integer(int(value))
        return f"{scaled:.6g}" if self.precision is None else f"{scaled:.{self.precision}f}"

    def with_unit(self, value: Any) -> str:
        """Return a real number as text with its unit: "5 us"."""
        return f"{self.number(value)} {self.unit}".rstrip()

    @property
    def base_unit(self) -> str:
        """The unit of the stored numbers, for exports ("s" for numbers that are shown in us); "" without one."""
        if not self.unit:
            return ""
        if self._is_usual:
            return _base_of(self.unit)
        return self.unit if self.scale == 1 else f"{1 / self.scale:.12g} {self.unit}"

    @property
    def _is_usual(self) -> bool:
        """Whether the scale is the one that the unit has in ARTIQ: stored numbers are then in its base unit."""
        factor = UNITS.get(self.unit)
        return factor is not None and math.isclose(factor, self.scale)

    def factor(self, symbol: str) -> float | None:
        """Return what a number with this symbol is multiplied by to be stored; None: it is no unit of this quantity.

        Args:
            symbol: The unit itself or, for a unit of ARTIQ, any that ARTIQ has of the same quantity ("kHz" for "MHz").

        """
        symbol = symbol.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
        if symbol == self.unit and symbol:
            return self.scale
        if symbol not in UNITS or self.unit not in UNITS or _base_of(symbol) != _base_of(self.unit):
            return None
        return UNITS[symbol] if self._is_usual else UNITS[symbol] / UNITS[self.unit] * self.scale

    def symbols(self) -> list[str]:
        """Return the symbols for which there is a `factor`, the smallest unit first."""
        known = [each for each in UNITS if self.factor(each) is not None]
        return known or ([self.unit] if self.unit else [])

    def exact(self, value: float) -> str:
        """Return a number with its unit as the shortest text that gives the same number again: "729.3MHz"."""
        if not math.isfinite(value):
            return repr(float(value))
        if self.scale == 1:
            return f"{_shortest(value)}{self.unit}"
        for digits in range(1, 18):
            text = f"{value / self.scale:.{digits}g}"
            if float(text) * self.scale == value:
                return f"{_shortest(float(text))}{self.unit}" if self.unit else f"{text}*{self.scale!r}"
        return f"{_shortest(value)}{self.base_unit}" if self._is_usual else f"{_shortest(value)}*1"


def display_of(metadata: Mapping[str, Any]) -> Display:
    """Return how numbers with this metadata are shown; odd metadata, as from a strange file, count as absent.

    Args:
        metadata: Those given of unit, scale, precision.

    """
    given = metadata.get("unit")
    unit = given if isinstance(given, str) else ""
    scale, precision = _number(metadata.get("scale")), _number(metadata.get("precision"))
    if not scale:
        scale = UNITS.get(unit, 1.0)
    digits = None if precision is None else min(max(int(precision), 0), _MOST_DIGITS)
    return Display(unit, scale, digits)


def integer(value: int) -> str:
    """Return an int as text; of one with over 4,000 digits the first ones and their number."""
    digits = int(abs(value).bit_length() * math.log10(2)) + 1
    if digits < 4000:  # Python converts no more (sys.set_int_max_str_digits)
        return str(value)
    first = abs(value) // 10 ** (digits - 10)
    return f"{'-' if value < 0 else ''}{str(first)[:6]}... ({digits} digits)"


def _base_of(unit: str) -> str:
    return next((base for base in _BASES if unit.endswith(base)), unit)


def _shortest(value: float) -> str:
    return repr(value if isinstance(value, int) else float(value)).removesuffix(".0")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__")

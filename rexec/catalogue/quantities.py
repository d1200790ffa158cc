"""Numbers as people write them in a query: 40, 1e-3, 5ms, -2.5kHz, 40..60. Pure."""

import re
from typing import Final, NamedTuple

from rexec.ground.quantities import Display
from rexec.ground.units import UNITS

_NUMBER: Final = re.compile(
    r"(?P<number>[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?|[+-]?inf)(?P<unit>[^\d\s.,;+\-*()][^\s,;()]*)?"
)


class Quantity(NamedTuple):
    """A number with the unit that was written behind it.

    Attributes:
        number: The number.
        unit: The symbol; "" without one.

    """

    number: float
    unit: str

    def stored(self, unit: str, scale: float) -> float | None:
        """Return the number as it would be stored for a value with this unit and scale.

        None: its unit is not one of that quantity; or it has none, although the shown and the stored number differ.

        Args:
            unit: The unit in which the value is shown; "" without one.
            scale: What a stored number is divided by to be shown.

        """
        if not self.unit:
            return self.number if scale == 1.0 or not unit or self.number == 0 else None
        if not unit:
            factor = UNITS.get(
                self.unit.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
            )
        else:
            factor = Display(unit, scale).factor(self.unit)
        return None if factor is None else self.number * factor


def quantity(text: str) -> Quantity | None:
    """Return the number with its unit that a text means; None: it means none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return Quantity(float(match["number"]), match["unit"] or "")


def bounds(text: str) -> tuple[str, str] | None:
    """Return the two ends of a range `40..60`, `40..` or `..60`; None: the text is no range."""
    first, dots, last = text.partition("..")
    return (first, last) if dots and (first or last) else None

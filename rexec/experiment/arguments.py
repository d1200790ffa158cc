"""The kinds of arguments that an experiment can ask for; names and meaning as in `artiq.experiment`.

A processor turns the value that a person gave into the value that the experiment gets, has a default or
none, and describes itself to a user interface.
"""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Literal

from devicedb.suggest import did_you_mean
from rexec.experiment.errors import DefaultMissing, NoDefault
from rexec.experiment.units import UNITS
from rexec.wire import pyon


class _Processor:
    """What all kinds have in common: a default value or none.

    Args:
        default: The value that the experiment gets where none is given; `NoDefault` where there is none.

    """

    def __init__(self, default: Any = NoDefault) -> None:
        if default is not NoDefault:
            self.default_value = self.process(default)

    def default(self) -> Any:
        """Return the default; raises DefaultMissing where there is none."""
        try:
            return self.default_value
        except AttributeError:
            raise DefaultMissing from None

    def process(self, x: Any) -> Any:
        """Return the value that the experiment gets for the given `x`; ValueError where it is refused."""
        return x

    def describe(self) -> dict[str, Any]:
        """Return a dict of the kind (`ty`) and its fields, PYON can encode it."""
        described: dict[str, Any] = {"ty": type(self).__name__}
        if hasattr(self, "default_value"):
            described["default"] = self._described_default()
        return described

    def _described_default(self) -> Any:
        return self.default_value


class PYONValue(_Processor):
    """An argument of any value that PYON can express.

    A str that is given is decoded, since that is what a user interface sends; any other value is taken as
    it is.
    """

    def __init__(self, default: Any = NoDefault) -> None:
        if default is not NoDefault:
            self.default_value = default

    def process(self, x: Any) -> Any:
        """Return `x`, decoded where it is a str; ValueError where that fails."""
        if not isinstance(x, str):
            return x
        try:
            return pyon.decode(x)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'{x!r} is no PYON value ({error}); a string is written \'"\\"text\\""\''
            ) from None

    def _described_default(self) -> Any:
        return pyon.encode(self.default_value)


class BooleanValue(_Processor):
    """An argument that is true or false."""

    def process(self, x: Any) -> bool:
        """Return `x`, which must be a bool."""
        if not isinstance(x, bool):
            raise ValueError(f"{x!r} is not true or false")
        return x


class EnumerationValue(_Processor):
    """An argument that is one of some strings.

    Args:
        choices: The strings.
        default: One of them.
        quickstyle: Whether a user interface shows a button for each choice.

    """

    def __init__(self, choices: Iterable[str], default: Any = NoDefault, quickstyle: bool = False) -> None:
        self.choices = list(choices)
        self.quickstyle = quickstyle
        super().__init__(default)

    def process(self, x: Any) -> str:
        """Return `x`, which must be one of the choices."""
        if not isinstance(x, str) or x not in self.choices:
            hint = did_you_mean(x, self.choices) if isinstance(x, str) else ""
            raise ValueError(f"{x!r} is none of {', '.join(map(repr, self.choices))}.{hint}")
        return x

    def describe(self) -> dict[str, Any]:
        """Return kind, default, choices and style."""
        return {**super().describe(), "choices": self.choices, "quickstyle": self.quickstyle}


class NumberValue(_Processor):
    """An argument that is a number.

    Args:
        default: In the unit of the experiment (that is SI: 2e6, or 2*MHz, beside `unit="MHz"`).
        unit: Symbol that a user interface shows.
        scale: Factor from what is shown to what the experiment gets; default: what the symbol says, 1 without one.
        step: Of the buttons up and down; default a tenth of `scale`.
        min, max: Bounds; a value outside is refused.
        precision: Digits after the point that a user interface shows.
        type: "int", "float", or "auto": an int where `precision` is 0, `scale` 1 and `step` an integer.

    """

    def __init__(
        self,
        default: Any = NoDefault,
        unit: str = "",
        *,
        scale: float | None = None,
        step: float | None = None,
        min: float | None = None,
        max: float | None = None,
        precision: int = 2,
        type: Literal["auto", "int", "float"] = "auto",
        ndecimals: int | None = None,
    ) -> None:
        if ndecimals is not None:  # the name before ARTIQ 8
            precision = ndecimals
        if scale is None:
            if unit and unit not in UNITS:
                raise KeyError(f"Unit {unit} is unknown, you must specify the scale manually")
            scale = UNITS[unit] if unit else 1.0
        if type not in ("auto", "int", "float"):
            raise TypeError("type must be 'float', 'int' or 'auto'")
        self.unit = unit
        self.scale = scale
        self.step = scale / 10.0 if step is None else step
        self.min = min
        self.max = max
        self.precision = precision
        self.type = type
        if type == "int" and not self._counts():
            raise ValueError(
                "Value marked as integer but settings are not compatible. "
                "Please set precision = 0, scale = 1 and step to an integer"
            )
        super().__init__(default)

    def _counts(self) -> bool:
        return self.precision == 0 and self.scale == 1 and float(self.step).is_integer()

    def process(self, x: Any) -> int | float:
        """Return `x` as an int or a float; ValueError for what is no number or out of bounds."""
        if isinstance(x, bool) or not isinstance(x, Real):
            raise ValueError(f"{x!r} is no number")
        value: int | float
        if self.type == "int" or (self.type == "auto" and self._counts()):
            if not isinstance(x, Integral) and not float(x).is_integer():
                raise ValueError(f"{x!r} is no whole number")
            value = int(float(x)) if not isinstance(x, Integral) else int(x)
        else:
            value = float(x)
        if self.min is not None and value < self.min:
            raise ValueError(f"{x!r} is below the minimum {self.min}")
        if self.max is not None and value > self.max:
            raise ValueError(f"{x!r} is above the maximum {self.max}")
        return value

    def describe(self) -> dict[str, Any]:
        """Return kind, default, unit, scale, step, bounds, precision and type."""
        fields = ("unit", "scale", "step", "min", "max", "precision", "type")
        return {**super().describe(), **{field: getattr(self, field) for field in fields}}


class StringValue(_Processor):
    """An argument that is a string."""

    def process(self, x: Any) -> str:
        """Return `x`, which must be a str."""
        if not isinstance(x, str):
            raise ValueError(f"{x!r} is no string; write it in quotes")
        return x

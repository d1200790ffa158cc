"""The kinds of arguments that an experiment can ask for; names and meaning as in `artiq.experiment`.

A processor turns the value that a person gave into the value that the experiment gets, has a default or
none, and describes itself to a user interface.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from devicedb.suggest import did_you_mean
from rexec.experiment.errors import DefaultMissing, NoDefault
from rexec.ground.quantities import display_of
from rexec.ground.units import UNITS
from rexec.wire import pyon


class _Processor:
    """Base of all kinds: a default value or none.

    Args:
        default: The value that the experiment gets where none is given; `NoDefault` where there is none.

    """

    def __init__(self, default: Any = NoDefault) -> None:
        if default is not NoDefault:
            self.default_value = self.process(default)

    def default(self) -> Any:
        """Return the default; DefaultMissing if there is none."""
        try:
            return self.default_value
        except AttributeError:
            raise DefaultMissing from None

    def process(self, x: Any) -> Any:
        """Return the value that the experiment gets for the given `x`; ValueError if it is refused."""
        return x

    def describe(self) -> dict[str, Any]:
        """Return the kind (`ty`) and its fields, which PYON can encode."""
        described: dict[str, Any] = {"ty": type(self).__name__}
        if hasattr(self, "default_value"):
            described["default"] = self._described_default()
        return described

    def _described_default(self) -> Any:
        return self.default_value


class PYONValue(_Processor):
    """An argument of any value that PYON can express.

    A given str is decoded as PYON, because user interfaces send texts; any other value is taken as it is.
    """

    def __init__(self, default: Any = NoDefault) -> None:
        if default is not NoDefault:
            self.default_value = default

    def process(self, x: Any) -> Any:
        """Return `x`, a str decoded as PYON; ValueError if that fails."""
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
    """An argument that is one of some values.

    Args:
        choices: The values, mostly strings.
        default: One of them.
        quickstyle: Whether a user interface shows a button for each choice.

    """

    def __init__(self, choices: Iterable[Any], default: Any = NoDefault, quickstyle: bool = False) -> None:
        self.choices = choices if isinstance(choices, tuple) else list(choices)
        self.quickstyle = quickstyle
        super().__init__(default)

    def process(self, x: Any) -> Any:
        """Return `x`, which must be equal to one of the choices."""
        if x not in self.choices:
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
        min, max: Bounds of a user interface, in the experiment's unit. The runner warns of a given value outside.
        precision, ndecimals: Digits after the point that a user interface shows; the second is the older name.
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
        """Return `x` as a float, or truncated to an int; ValueError if it is no number.

        As in ARTIQ, whatever `int` and `float` take is a number: a bool, a numeric string, an array of no dimension.
        """
        is_int = self.type == "int" or (self.type == "auto" and self._counts())
        try:
            return int(x) if is_int else float(x)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{_short(x)} is no {'whole ' if is_int else ''}number") from None

    def describe(self) -> dict[str, Any]:
        """Return kind, default, unit, scale, step, bounds, precision and type."""
        fields = ("unit", "scale", "step", "min", "max", "precision", "type")
        return {**super().describe(), **{field: getattr(self, field) for field in fields}}


class StringValue(_Processor):
    """An argument that a user interface edits as a string; any other value is taken as it is, as in ARTIQ."""


def doubts(description: Mapping[str, Any], given: Any, value: Any) -> list[str]:
    """Return warnings about the given value of an argument, as parts of sentences.

    Args:
        description: What the argument's processor says of itself.
        given: What was given.
        value: What the processor made of it.

    """
    if description.get("ty") != "NumberValue" or not isinstance(value, int | float):
        return []
    unit = f" {base}" if (base := display_of(description).base_unit) else ""
    least, most = description.get("min"), description.get("max")
    found = []
    if least is not None and value < least:
        found.append(f"{value!r}{unit} is below the minimum {least!r}{unit}")
    if most is not None and value > most:
        found.append(f"{value!r}{unit} is above the maximum {most!r}{unit}")
    if isinstance(given, float) and isinstance(value, int) and given != value:
        found.append(f"it is a whole number: {given!r} becomes {value!r}")
    return found


def _short(x: Any) -> str:
    """Return the beginning of an object's text; Python writes no integer of more than 4,300 digits."""
    try:
        return f"{x!r:.80}"
    except ValueError:
        return f"an integer of {x.bit_length()} bits" if isinstance(x, int) else f"a {type(x).__name__}"

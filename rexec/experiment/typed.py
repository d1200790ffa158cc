"""Arguments as a person types them, and defaults in the same form: `f=729.3MHz`, `mode=fast`, `t=0..100us:21`.

What a text means depends on the kind of the argument and on its unit, so it is read once the experiment has asked for
the argument. A number that would mean one thing in the unit that is shown and another in base units is refused
(docs/decisions/0041-a-bare-number-is-refused-where-it-has-two-meanings.md). PYON is accepted everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from devicedb.suggest import did_you_mean
from rexec.experiment.errors import ArgumentError
from rexec.experiment.typed_numbers import BOOLS, is_number, pyon_value, read_number, read_scan, scan_as_typed
from rexec.ground.quantities import display_of
from rexec.wire import pyon

__all__ = ["Typed", "as_typed", "parse_arguments", "read", "refusal"]


class Typed(str):
    """The text that a person typed for an argument."""

    __slots__ = ()


def parse_arguments(words: Iterable[str]) -> dict[str, Typed]:
    """Return the texts of a command line's `KEY=VALUE`, by key.

    Raises:
        ArgumentError: There is no `=`, or a key comes twice.

    """
    given: dict[str, Typed] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ArgumentError(f"argument {word!r} is not of the form KEY=VALUE")
        if key in given:
            raise ArgumentError(f"argument {key!r} is given twice")
        given[key] = Typed(text)
    return given


def read(key: str, text: str, description: Mapping[str, Any]) -> Any:
    """Return the value that a text gives an argument, in the form that the argument's processor takes.

    Args:
        key: The argument.
        text: What was typed.
        description: What the processor says of itself.

    Raises:
        ArgumentError: The text has no meaning, or two; says what the argument takes, with an example.

    """
    text = str(text)
    try:
        match description["ty"]:
            case "NumberValue":
                return read_number(text, display_of(description))
            case "EnumerationValue":
                return _choice(text, description["choices"])
            case "BooleanValue" if text.strip().lower() in BOOLS:
                return BOOLS[text.strip().lower()]
            case "StringValue":
                return _text(text)
            case "Scannable":
                return read_scan(text, display_of(description))
            case "PYONValue":
                value = pyon_value(text)
                return value if isinstance(value, str) else pyon.encode(value)  # its processor decodes a text
            case _:
                return pyon_value(text)
    except ValueError as error:
        raise refusal(key, str(error), description) from None


def refusal(key: str, reason: str, description: Mapping[str, Any]) -> ArgumentError:
    """Return the error of an argument: why, what it takes, an example."""
    end = "" if reason.endswith(("?", ".")) else "."
    return ArgumentError(f"argument {key!r}: {reason}{end} {_takes(key, description)}")


def _takes(key: str, description: Mapping[str, Any]) -> str:
    display = display_of(description)
    units = display.symbols()
    in_units = f" with a unit ({', '.join(units)})" if units else ""
    known = "default" in description
    default = as_typed(description) if known else ""
    match description["ty"]:
        case "NumberValue":
            kind, example = f"a number{in_units}", default or display.exact(display.scale)
        case "EnumerationValue":
            choices = [_choice_as_typed(each) for each in description["choices"]]
            kind, example = f"one of {', '.join(choices)}", default or choices[0] if choices else ""
        case "BooleanValue":
            kind, example = "true or false", default or "true"
        case "StringValue":
            kind, example = "text", default or "text"
        case "Scannable":
            kind = f"a scan{in_units}: START..STOP:POINTS, range(), center(), explicit(), or one value"
            example = default or f"0..{display.exact(10 * display.scale)}:11"
        case _:
            kind, example = (
                "a PYON value (number, true, null, list, dict, text in double quotes)",
                default or "[1, 2]",
            )
    return f"It takes {kind}, for example {key}={example}"


def as_typed(description: Mapping[str, Any]) -> str:
    """Return the default of an argument as a text that `read` takes for the same value."""
    value, display = description["default"], display_of(description)
    match description["ty"]:
        case "NumberValue" if is_number(value):
            return display.exact(value)
        case "EnumerationValue":
            return _choice_as_typed(value)
        case "StringValue" if isinstance(value, str) and value.isprintable() and not _is_quoted(value):
            return value
        case "Scannable":
            return scan_as_typed(value[0], display)  # of several, a dashboard shows the first
        case "PYONValue":
            # Already PYON. A processor decodes texts once more, as those of a dashboard.
            return pyon.encode(value) if isinstance(pyon.decode(value), str) else str(value)
        case _:
            return pyon.encode(value)


def _choice(text: str, choices: Sequence[Any]) -> Any:
    """Return the choice that a text names: as it is, in PYON, or as Python shows it."""
    if text in choices:
        return text
    for each in choices:
        if text.strip() in (_choice_as_typed(each), str(each), repr(each)):
            return each
    try:
        value = pyon_value(text)
    except ValueError:
        value = text
    if value not in choices:
        hint = did_you_mean(text, [each for each in choices if isinstance(each, str)])
        raise ValueError(f"{text!r} is none of the choices.{hint}")
    return value


def _choice_as_typed(choice: Any) -> str:
    if isinstance(choice, str):
        return choice if choice.isprintable() and choice == choice.strip() and choice else pyon.encode(choice)
    try:
        return pyon.encode(choice)
    except (TypeError, ValueError):
        return repr(choice)


def _text(text: str) -> str:
    """Return a text, without the quotes that PYON has around it."""
    if _is_quoted(text.strip()):
        try:
            return str(pyon_value(text))
        except ValueError:
            return text
    return text


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"

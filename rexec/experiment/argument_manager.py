"""Hands an experiment its arguments, and keeps which it asked for and what it got.

This is the third of the four managers that an experiment class is built with; processors are those of
`rexec.experiment` or of `artiq.experiment`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devicedb.suggest import did_you_mean
from rexec.experiment.errors import ArgumentError
from rexec.wire import pyon, pyon_v1

logger = logging.getLogger(__name__)

Ask = Callable[[str], str]
"""Shows a prompt to a person and returns the line that was typed; EOFError where nobody answers."""

Request = tuple[str, Any, str | None, str | None]
"""Key, processor, group, tooltip."""


@dataclass(frozen=True)
class UsedArgument:
    """An argument that an experiment asked for."""

    key: str
    value: Any
    """What the experiment got."""
    defaulted: bool
    """Whether it was left at its default."""
    description: Mapping[str, Any]
    """What the processor says of itself."""
    group: str | None
    tooltip: str | None


def parse_arguments(words: Iterable[str]) -> dict[str, Any]:
    """Return the arguments of a command line, `KEY=VALUE` each, where VALUE is PYON of either version.

    Raises:
        ArgumentError: There is no `=`, a key comes twice, or a value is no PYON.

    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ArgumentError(f"argument {word!r} is not of the form KEY=VALUE")
        if key in given:
            raise ArgumentError(f"argument {key!r} is given twice")
        given[key] = parse_value(key, text)
    return given


def parse_value(key: str, text: str) -> Any:
    """Return the value that `text` writes in PYON; ArgumentError where it writes none."""
    try:
        return pyon.decode(text)
    except (ValueError, TypeError):
        pass  # the older syntax, which is also what people who write Python type
    try:
        return pyon_v1.decode(_PYTHON_CONSTANTS.get(text, text))
    except (ValueError, TypeError, SyntaxError) as error:
        message = f"argument {key!r}: {text!r} is no value ({_first_line(error)})"
    if _is_word(text):
        message = f"argument {key!r}: {text!r} is no value. A string needs its own quotes: {key}='\"{text}\"'"
    raise ArgumentError(message)


_PYTHON_CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def _is_word(text: str) -> bool:
    return bool(text) and text[0] not in "[{(\"'0123456789-+."


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class ArgumentManager:
    """Processes the arguments of one experiment and its children.

    Args:
        given: The values that a person gave, by key.
        ask: How to ask a person for interactive arguments; None where there is nobody.

    """

    def __init__(self, given: Mapping[str, Any], ask: Ask | None = None) -> None:
        self._given = dict(given)
        self._ask = ask
        self.used: dict[str, UsedArgument] = {}

    def get(self, key: str, processor: Any, group: str | None = None, tooltip: str | None = None) -> Any:
        """Return the value of an argument; ArgumentError where it is missing or its value is refused."""
        if key in self._given:
            value = _processed(key, processor, self._given[key])
        else:
            value = _default(key, processor)
        self.used[key] = UsedArgument(
            key, value, key not in self._given, processor.describe(), group, tooltip
        )
        return value

    def check_unprocessed_arguments(self) -> None:
        """Raise ArgumentError if values were given that the experiment did not ask for."""
        unknown = [key for key in self._given if key not in self.used]
        if not unknown:
            return
        has = f"it has {', '.join(self.used)}" if self.used else "it has none"
        hints = "".join(did_you_mean(key, self.used) for key in unknown)
        names = ", ".join(map(repr, unknown))
        raise ArgumentError(f"the experiment has no argument {names}: {has}.{hints}")

    def get_interactive(self, requests: Sequence[Request], title: str) -> dict[str, Any] | None:
        """Ask a person for arguments while the experiment runs; None if nobody answers."""
        keys = ", ".join(key for key, *_ in requests)
        if self._ask is None:
            logger.warning(
                "the experiment asks for %s (%s), but there is no terminal: cancelled", keys, title
            )
            return None
        values = {}
        try:
            for key, processor, group, tooltip in requests:
                values[key] = _ask_one(self._ask, title, key, processor, group, tooltip)
        except EOFError:
            logger.warning("the request for %s (%s) was cancelled", keys, title)
            return None
        return values


def _processed(key: str, processor: Any, value: Any) -> Any:
    if processor.describe()["ty"] == "PYONValue" and not isinstance(value, str):
        value = pyon.encode(value)  # ARTIQ's processor decodes a str and takes nothing else
    try:
        return processor.process(value)
    except (ValueError, TypeError, SyntaxError) as error:
        raise ArgumentError(f"argument {key!r}: {_first_line(error)}") from None


def _default(key: str, processor: Any) -> Any:
    try:
        return processor.default()
    except Exception as error:
        # ARTIQ's DefaultMissing is another class than ours, and ARTIQ may not be installed.
        if type(error).__name__ != "DefaultMissing":
            raise
    raise ArgumentError(f"argument {key!r} is needed: it has no default. Give {key}=VALUE")


def _ask_one(ask: Ask, title: str, key: str, processor: Any, group: str | None, tooltip: str | None) -> Any:
    """Ask for one value until it is one that the processor takes; the person can end the input."""
    where = " · ".join(part for part in (title, group, tooltip) if part)
    description = processor.describe()
    default = f" [{description['default']!r}]" if "default" in description else ""
    while True:
        text = ask(f"{where}: {key}{default} ({description['ty']}) = " if where else f"{key}{default} = ")
        try:
            if not text.strip():
                return _default(key, processor)
            return _processed(key, processor, parse_value(key, text.strip()))
        except ArgumentError as error:
            logger.warning("%s", error)

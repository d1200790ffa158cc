"""Gives an experiment its arguments, and records which it asked for and what it got.

This is the third of the four managers that an experiment class is built with; processors are those of
`rexec.experiment` or of `artiq.experiment`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devicedb.suggest import did_you_mean
from rexec.experiment.arguments import doubts
from rexec.experiment.errors import ArgumentError
from rexec.experiment.typed import Typed, as_typed, read, refusal
from rexec.wire import pyon

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
    description: Mapping[str, Any]
    """What the processor says of itself."""
    group: str | None
    tooltip: str | None
    given: Any = None
    """The value as a user interface sends it; giving it again gives the same value."""


class ArgumentManager:
    """Processes the arguments of one experiment and its children.

    Args:
        given: The values that were given, by key; what a person typed as `Typed`.
        ask: How to ask a person for interactive arguments; None where there is nobody.
        former: The values of an earlier run, for arguments that are not given.

    """

    def __init__(
        self, given: Mapping[str, Any], ask: Ask | None = None, former: Mapping[str, Any] | None = None
    ) -> None:
        self._given = dict(given)
        self._former = {key: value for key, value in (former or {}).items() if key not in given}
        self._ask = ask
        self.used: dict[str, UsedArgument] = {}

    def get(self, key: str, processor: Any, group: str | None = None, tooltip: str | None = None) -> Any:
        """Return the value of an argument; ArgumentError if it is missing or its value is refused."""
        description = processor.describe()
        if key in self._former:
            self._given[key] = self._former.pop(key)
        if key in self._given:
            given = self._given[key] = _as_sent(processor, _read(key, description, self._given[key]))
            value = _processed(key, processor, given)
            for doubt in doubts(description, given, value):
                logger.warning("argument %r: %s", key, doubt)
        else:
            value = _default(key, processor)
            given = description.get("default") if _is_pyon(processor) else described(value)
        self.used[key] = UsedArgument(key, value, description, group, tooltip, given)
        return value

    @property
    def given(self) -> dict[str, Any]:
        """The given values as the processors took them; the text of an argument not asked for."""
        return {key: str(each) if isinstance(each, Typed) else each for key, each in self._given.items()}

    def check_unprocessed_arguments(self) -> None:
        """Raise ArgumentError if values were given that the experiment did not ask for; warn of former ones."""
        if self._former:
            logger.warning("the experiment no longer has the arguments %s", ", ".join(self._former))
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


def _read(key: str, description: Mapping[str, Any], value: Any) -> Any:
    """Return a value as a processor takes it."""
    return read(key, value, description) if isinstance(value, Typed) else value


def _is_pyon(processor: Any) -> bool:
    """Whether a processor is a PYONValue, ours or ARTIQ's, or derives from one."""
    return any(each.__name__ == "PYONValue" for each in type(processor).__mro__)


def _as_sent(processor: Any, value: Any) -> Any:
    """Return a given value as a user interface sends it: for a PYONValue a text, which ARTIQ's processor decodes."""
    return pyon.encode(value) if _is_pyon(processor) and not isinstance(value, str) else described(value)


def described(value: Any) -> Any:
    """Return a value as a user interface sends it: a scan, ours or ARTIQ's, as its description."""
    describe = getattr(value, "describe", None)
    description = describe() if callable(describe) else None
    return description if isinstance(description, dict) and "ty" in description else value


def _processed(key: str, processor: Any, value: Any) -> Any:
    try:
        return processor.process(value)
    except ArgumentError:
        raise
    except Exception as error:
        # ARTIQ's processors raise whatever comes of a wrong value: KeyError, IndexError, ...
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise refusal(key, f"{kind}{_first_line(error)}", processor.describe()) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _default(key: str, processor: Any) -> Any:
    try:
        return processor.default()
    except Exception as error:
        # ARTIQ's DefaultMissing is another class than ours, and ARTIQ may not be installed.
        if type(error).__name__ != "DefaultMissing":
            raise
    raise refusal(key, "it is needed, because it has no default", processor.describe())


def _ask_one(ask: Ask, title: str, key: str, processor: Any, group: str | None, tooltip: str | None) -> Any:
    """Ask for one value until the processor takes it; EOFError if the person ends the input."""
    where = " · ".join(part for part in (title, group, tooltip) if part)
    description = processor.describe()
    default = f" [{as_typed(description)}]" if "default" in description else ""
    while True:
        text = ask(f"{where}: {key}{default} ({description['ty']}) = " if where else f"{key}{default} = ")
        try:
            if not text.strip():
                return _default(key, processor)
            given = _as_sent(processor, _read(key, description, Typed(text.strip())))
            return _processed(key, processor, given)
        except ArgumentError as error:
            logger.warning("%s", error)

"""Numbers with units and scans as a person types them, and written in the same form."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from devicedb.suggest import did_you_mean
from rexec.ground.quantities import Display
from rexec.wire import pyon, pyon_v1

_NUMBER: Final = r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY: Final = re.compile(rf"({_NUMBER})\s*(?:\*\s*({_NUMBER})|\*?\s*([^\W\d].*|%))?")
_RANGE: Final = re.compile(r"(?P<start>.+?)\.\.(?P<stop>[^:]+)(?::\s*(?P<points>.*))?")
_CALL: Final = re.compile(r"(?P<name>no|range|center|explicit)(?:scan)?\s*\((?P<inside>.*)\)", re.I | re.S)
_PARTS: Final = {
    "range": ("RangeScan", ("start", "stop", "npoints"), 2),
    "center": ("CenterScan", ("center", "span", "step"), 3),
    "no": ("NoScan", ("value", "repetitions"), 1),
}
"""Of each scan that has a fixed number of parts: ARTIQ's name, the parts, and how many of them have the unit."""
_CONSTANTS: Final = {"True": "true", "False": "false", "None": "null"}
BOOLS: Final = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


class _NotPyon(ValueError):
    """Raised for a text that PYON does not have."""


def read_number(text: str, display: Display) -> Any:
    """Return a number as it is stored."""
    value, factor = _split(text.strip(), display)
    if isinstance(value, str):
        return read_number(value, display)  # in quotes of its own: the same holds
    return _stored(text.strip(), value, factor, display) if is_number(value) else value


def _stored(text: str, value: Any, factor: float | None, display: Display) -> Any:
    if factor is None:
        _refuse_two_meanings(text, value, display)
    return value if factor in (None, 1.0) else value * factor


def _quantities(texts: Sequence[str], display: Display, *, share: bool) -> list[Any]:
    """Return numbers as they are stored.

    Args:
        texts: The numbers, each with or without a unit.
        display: Unit and scale of the argument.
        share: Whether those without a unit have the unit of the last one.

    """
    split = [(text.strip(), *_split(text.strip(), display)) for text in texts]
    shared = split[-1][2] if share else None
    for text, value, _ in split:
        if not is_number(value):
            raise ValueError(f"{text!r} is not a number")
    return [
        _stored(text, value, shared if factor is None else factor, display) for text, value, factor in split
    ]


def _split(text: str, display: Display) -> tuple[Any, float | None]:
    """Return a number, and what its unit multiplies it by; None without a unit, as of other values in PYON."""
    unit = display.unit
    found = re.fullmatch(rf"({_NUMBER})\s*\*?\s*{re.escape(unit)}", text) if unit else None
    if found is not None:
        return _plain(found[1]), display.scale
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return pyon_value(text, "a number"), None
    number, factor, symbol = found.groups()
    if factor is not None:
        return _plain(number), float(factor)
    if symbol is None:
        return _plain(number), None
    scale = display.factor(symbol.strip())
    if scale is None:
        known = display.symbols()
        if not known:
            raise ValueError(f"{text!r} has a unit, and the argument is a number without one")
        hint = did_you_mean(symbol.strip(), known)
        raise ValueError(f"{symbol.strip()!r} is not a unit that it takes.{hint}")
    return _plain(number), scale


def _plain(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def is_number(value: Any) -> bool:
    """Return whether a value is a plain number, which a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_two_meanings(text: str, value: float, display: Display) -> None:
    """Refuse a number without a unit if it would be another one in the unit that people see."""
    if display.scale == 1 or value == 0 or not math.isfinite(value):
        return
    shown = display.unit or f"*{display.scale!r}"
    stored = display.base_unit if display.base_unit.isidentifier() else "*1"
    raise ValueError(
        f"{text} has two meanings: {text}{shown} as --list shows it, {text}{stored} as PYON. Type one of them"
    )


def read_scan(text: str, display: Display) -> Any:
    """Return the description of a scan, as ARTIQ's processor takes it."""
    text = text.strip()
    if text.startswith("{"):
        return pyon_value(text)
    if found := _CALL.fullmatch(text):
        return _called(found["name"].lower(), found["inside"], display)
    if found := _RANGE.fullmatch(text):
        start, stop = _quantities([found["start"], found["stop"]], display, share=True)
        if found["points"] is None:
            raise ValueError(f"{text!r} does not say how many points: {text}:21 has 21")
        return {"ty": "RangeScan", "start": start, "stop": stop, "npoints": _count(found["points"])}
    try:
        value = read_number(text, display)
    except _NotPyon:
        raise ValueError(f"{text!r} is not a scan") from None
    return {"ty": "NoScan", "value": value, "repetitions": 1} if is_number(value) else value


def _called(name: str, inside: str, display: Display) -> dict[str, Any]:
    words = [word.strip() for word in inside.split(",") if word.strip()]
    options = dict(_option(word) for word in words if "=" in word)
    texts = [word for word in words if "=" not in word]
    if name == "explicit":
        return {"ty": "ExplicitScan", "sequence": _quantities(texts, display, share=True) if texts else []}
    kind, parts, with_unit = _PARTS[name]
    if name == "no" and len(texts) == 1:
        texts.append("1")
    if len(texts) != len(parts):
        raise ValueError(f"{name}() has the parts {', '.join(parts)}")
    if name == "no" and options:
        raise ValueError("a value that is repeated has no random order")
    values: list[Any] = _quantities(texts[:with_unit], display, share=name == "range")
    values += [_count(text) for text in texts[with_unit:]]
    return {"ty": kind, **dict(zip(parts, values, strict=True)), **options}


def _option(word: str) -> tuple[str, Any]:
    name, _, text = (part.strip() for part in word.partition("="))
    if name == "randomize" and text.lower() in BOOLS:
        return name, BOOLS[text.lower()]
    if name == "seed":
        return name, None if text.lower() in ("none", "null") else _count(text)
    raise ValueError(f"{word!r} is not an option of a scan: those are randomize=true and seed=NUMBER")


def _count(text: str) -> int:
    if not re.fullmatch(r"\s*\d+\s*", text):
        raise ValueError(f"{text!r} is not a number of points")
    return int(text)


def scan_as_typed(scan: Mapping[str, Any], display: Display) -> str:
    """Return a description of a scan as text; one of other values than numbers in PYON."""
    fields = dict(scan)
    kind = fields.pop("ty")
    if kind == "ExplicitScan":
        values = [each.item() if hasattr(each, "item") else each for each in fields["sequence"]]
        if all(map(is_number, values)):
            return f"explicit({', '.join(map(display.exact, values))})"
        return pyon.encode(dict(scan))
    known = next(((name, parts, count) for name, (ty, parts, count) in _PARTS.items() if ty == kind), None)
    if known is None or not all(is_number(fields[part]) for part in known[1]):
        return pyon.encode(dict(scan))
    name, parts, with_unit = known
    texts = [display.exact(fields[part]) for part in parts[:with_unit]]
    texts += [str(fields[part]) for part in parts[with_unit:]]
    if fields.get("randomize"):
        texts += ["randomize=true"] + ([f"seed={fields['seed']}"] if fields.get("seed") is not None else [])
    elif name == "range":
        return f"{texts[0]}..{texts[1]}:{texts[2]}"
    elif name == "no" and fields["repetitions"] == 1:
        return texts[0]
    return f"{name if name != 'no' else 'noscan'}({', '.join(texts)})"


def pyon_value(text: str, wanted: str = "") -> Any:
    """Return the value of a text in PYON of either version; ValueError if it has none.

    Args:
        text: The text.
        wanted: What it should be, for the error, where PYON is not what most people type.

    """
    try:
        return pyon.decode(text)
    except (ValueError, TypeError):
        pass  # the older syntax, which is also what people who write Python type
    try:
        return pyon_v1.decode(_CONSTANTS.get(text.strip(), text))
    except (ValueError, TypeError, SyntaxError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise _NotPyon(f"{text!r} is not {wanted or f'a value ({reason})'}") from None

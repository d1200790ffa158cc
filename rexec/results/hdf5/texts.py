"""PYON of facts about a run and its datasets, which must never cost the file."""

from typing import Any, Final

from rexec.ground.plain import Converted, Unreadable, simpler
from rexec.wire import pyon

_DEEPEST: Final = 20


def pyon_text(value: Any) -> str:
    """Return PYON of a value; parts that PYON does not know are replaced by what is readable of them."""
    try:
        return pyon.encode(value)
    except (TypeError, ValueError):
        return pyon.encode(_readable(value, 0))


def _readable(value: Any, depth: int) -> Any:
    if depth < _DEEPEST and isinstance(value, dict):
        return {
            "__jsonclass__ " if key == "__jsonclass__" else str(key): _readable(item, depth + 1)
            for key, item in value.items()
        }
    if depth < _DEEPEST and isinstance(value, list | tuple):
        return [_readable(item, depth + 1) for item in value]
    try:
        pyon.encode(value)
    except (TypeError, ValueError):
        return _as_text(value, depth)
    return value


def _as_text(value: Any, depth: int) -> Any:
    if isinstance(value, int):
        return hex(value)  # Python writes no decimal number of over 4,300 digits
    found = simpler(value) if depth < _DEEPEST else None
    if isinstance(found, Converted):
        return _readable(found.data, depth + 1)
    return found.text if isinstance(found, Unreadable) else f"<{type(value).__qualname__}>"

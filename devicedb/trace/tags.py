"""Strings and numbers that remember where they were written, and are otherwise what they were.

A tagged value travels through variables, arguments, loops and containers by itself; whatever computes a new
value from it makes a plain one, which is tagged anew by the expression that computed it.
"""

from typing import Any


class TaggedStr(str):
    """A str with the number of the site that made it."""

    __slots__ = ("site",)
    site: int

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, (str.__str__(self),)

    def __copy__(self) -> "TaggedStr":
        return self

    def __deepcopy__(self, memo: object) -> "TaggedStr":
        return self


class TaggedInt(int):
    """An int with the number of the site that made it."""

    site: int

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return int, (int(self),)

    def __copy__(self) -> "TaggedInt":
        return self

    def __deepcopy__(self, memo: object) -> "TaggedInt":
        return self


class TaggedFloat(float):
    """A float with the number of the site that made it."""

    __slots__ = ("site",)
    site: int

    def __reduce__(self) -> tuple[type, tuple[float]]:
        return float, (float.__float__(self),)

    def __copy__(self) -> "TaggedFloat":
        return self

    def __deepcopy__(self, memo: object) -> "TaggedFloat":
        return self


PLAIN: dict[type, type] = {TaggedStr: str, TaggedInt: int, TaggedFloat: float}
"""The type that a tagged one stands for."""

_TAGGED: dict[type, Any] = {str: TaggedStr, int: TaggedInt, float: TaggedFloat}

for _plain, _tagged in _TAGGED.items():
    # Messages that a laboratory's file makes of a type's name must read as ever.
    _tagged.__name__ = _tagged.__qualname__ = _plain.__name__


def tag(value: Any, site: int) -> Any:
    """Return `value` tagged with `site` if it is exactly a str, int or float, else `value` itself."""
    kind = _TAGGED.get(type(value))
    if kind is None:
        return value
    tagged = kind(value)
    tagged.site = site
    return tagged


def site_of(value: Any) -> int | None:
    """Return the site of a tagged value, None for any other."""
    return value.site if type(value) in PLAIN else None

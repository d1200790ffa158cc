"""The further types that an application has registered with PYON."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

BUILTIN_NAMES: Final = frozenset(
    {"tuple", "dict", "complex", "bytes", "set", "slice", "Fraction", "OrderedDict", "nparray", "npscalar"}
)


@dataclass(frozen=True)
class Registered:
    """How one registered type travels."""

    name: str
    encode: Callable[[Any], Iterable[Any]]
    decode: Callable[..., Any]


BY_TYPE: Final[dict[type, Registered]] = {}
BY_NAME: Final[dict[str, Registered]] = {}


def register_types(
    types: tuple[type, ...], name: str, encode: Callable[[Any], Iterable[Any]], decode: Callable[..., Any]
) -> None:
    """Enter types into the tables.

    Raises:
        ValueError: The name or a type is taken already.

    """
    if name in BUILTIN_NAMES or name in BY_NAME:
        raise ValueError(f"the PYON name {name!r} is taken already")
    for kind in types:
        if kind in BY_TYPE:
            raise ValueError(
                f"{kind.__qualname__} is registered with PYON already, as {BY_TYPE[kind].name!r}"
            )
    entry = Registered(name, encode, decode)
    BY_NAME[name] = entry
    for kind in types:
        BY_TYPE[kind] = entry


def deregister_types(types: tuple[type, ...], name: str) -> None:
    """Take types out of the tables.

    Raises:
        KeyError: They were not registered under this name.

    """
    entry = BY_NAME[name]
    for kind in types:
        if BY_TYPE.get(kind) is not entry:
            raise KeyError(f"{kind.__qualname__} is not registered with PYON as {name!r}")
    del BY_NAME[name]
    for kind in types:
        del BY_TYPE[kind]

"""Entries whose fields are all as the models want them, read without the models.

The models take longer to import than a call of a controller takes. An entry that is not plain goes to its model, which
converts it or names what is wrong.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

RIGHTS: Final = ("read", "call", "rexec")
"""The words of the key `allow`, in their order: each right includes those before it."""
EVERYONE: Final = "*"
"""In `allow`: all persons who have no line of their own."""


@dataclass(frozen=True)
class PlainController:
    """The fields of a controller that lead to its endpoint; as in `schemas.Controller`."""

    host: str | None
    port: int
    target_name: str | None = None
    best_effort: bool = False
    command: str | None = None
    simple_ssl_config: None = None
    type: Literal["controller"] = "controller"


@dataclass(frozen=True)
class PlainTarget:
    """A further target of a controller; as `schemas.ControllerAuxTarget`."""

    controller: str
    target_name: str
    best_effort: bool | None = None
    type: Literal["controller_aux_target"] = "controller_aux_target"


def _is_text(value: object) -> bool:
    return type(value) is str and value.isascii() and value != ""


def _is_name(value: object) -> bool:
    return type(value) is str and value.isascii() and value.isprintable() and value != "" and " " not in value


def _is_port(value: object) -> bool:
    return type(value) is int and 1 <= value <= 65535


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


def _is_growth(value: object) -> bool:
    return _is_duration(value) and value >= 1  # type: ignore[operator]


def _is_environment(value: object) -> bool:
    return type(value) is dict and all(map(_is_text, (*value, *value.values())))


def _is_allow(value: object) -> bool:
    return type(value) is dict and all(
        _is_text(name) and type(words) is list and all(word in RIGHTS for word in words)
        for name, words in value.items()
    )


def _or_none(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _is_bool(value: object) -> bool:
    return type(value) is bool


FORMS: Final[dict[str, dict[str, Callable[[object], bool]]]] = {
    "controller": {
        "host": _or_none(_is_text),
        "port": _is_port,
        "target_name": _or_none(_is_name),
        "best_effort": _is_bool,
        "command": _or_none(_is_text),
        "port_proxy": _or_none(_is_port),
        "simple_ssl_config": lambda value: value is None,
        "ping_timer": _is_duration,
        "ping_timeout": _is_duration,
        "term_timeout": _is_duration,
        "retry_timer": _is_duration,
        "retry_timer_backoff": _is_growth,
        "busy_limit": _or_none(_is_duration),
        "allow": _or_none(_is_allow),
        "exclusive": _is_bool,
        "environment": _is_environment,
    },
    "controller_aux_target": {
        "controller": _is_text,
        "target_name": _is_name,
        "best_effort": _or_none(_is_bool),
    },
}
"""For each field of the models: whether a value needs neither conversion nor an error message."""


def plain(value: Any) -> PlainController | PlainTarget | None:
    """Return the facts of an entry that is plain; None if its model must look at it."""
    if type(value) is not dict or type(value.get("type")) is not str:
        return None
    forms = FORMS.get(value["type"])
    if forms is None or not all(type(key) is str for key in value):
        return None
    if not all(check(value[name]) for name, check in forms.items() if name in value):
        return None
    made = PlainController if value["type"] == "controller" else PlainTarget
    try:
        return made(**{name: value[name] for name in made.__dataclass_fields__ if name in value})
    except TypeError:  # a required field is missing
        return None

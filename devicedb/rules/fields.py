"""Rules about the fields of one entry: there, of the right type, not empty."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from devicedb.model.database import TYPES, CheckedDatabase, Entry, is_known, kind_of, shown
from devicedb.model.located import UNKNOWN
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import rename_key, write
from devicedb.suggest import did_you_mean, nearest, only_candidate

GOOD = 'device_db = {"camera": {"type": "controller", "host": "::1", "port": 3286}}\n'

REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "local": ("module", "class"),
    "controller": ("host", "port"),
    "controller_aux_target": ("controller", "target_name"),
}
"""Fields that ARTIQ reads without a default. DDB301 has the aux target's `target_name`."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_port(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or _is_digits(value)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.strip().isdecimal() and len(value) < 20


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


Form = tuple[str, Callable[[Any], bool]]
TIMERS: Final = ("ping_timer", "ping_timeout", "term_timeout", "retry_timer", "retry_timer_backoff")
FORMS: Final[dict[str, dict[str, Form]]] = {
    "local": {
        "module": ("a str", _is_text),
        "class": ("a str", _is_text),
        "arguments": ("a dict", lambda value: isinstance(value, dict)),
    },
    "controller": {
        "host": ("a str", _or_none(_is_text)),
        "port": ("an int", _is_port),
        "target_name": ("a str", _or_none(_is_text)),
        "best_effort": ("a bool", _or_none(lambda value: isinstance(value, int))),
        "simple_ssl_config": ("a dict", _or_none(lambda value: isinstance(value, dict))),
        "port_proxy": ("an int", _or_none(_is_port)),
        "environment": ("a dict", _or_none(lambda value: isinstance(value, dict))),
        "busy_limit": ("a number", _or_none(_is_number)),
        "exclusive": ("a bool", lambda value: isinstance(value, bool)),
        **dict.fromkeys(TIMERS, ("a number", _is_number)),
    },
    "controller_aux_target": {
        "controller": ("a str", _is_text),
        "best_effort": ("a bool", _or_none(lambda value: isinstance(value, int))),
    },
}
"""Kind of entry, field, what it must be. The command of a controller has rules of its own."""


@entry_rule(
    "DDB103",
    Severity.ERROR,
    "entry is neither a dict nor a name",
    why="An entry is a dict, an alias is a str. Anything else fails when an experiment asks for the device.",
    bad='device_db = {}\ndevice_db["camera"] = {"type": "controller", "host": "::1", "port": 3286},\n',
    good=GOOD,
)
def neither_dict_nor_name(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    value = entry.node.value
    if isinstance(value, dict | str) or value is UNKNOWN:
        return
    hint = "write a dict, or the name of another entry for an alias"
    if isinstance(value, tuple) and len(value) == 1:
        hint = "is there a trailing comma after the entry? It makes a tuple of one; remove it"
    yield Hit(
        entry.at(), f"{entry.name!r} is {kind_of(value)}; an entry is a dict or a str", hint, entry.name
    )


@entry_rule(
    "DDB104",
    Severity.ERROR,
    "entry without type",
    why="ARTIQ chooses by `type` which device to make of an entry.",
    bad='device_db = {"camera": {"host": "::1", "port": 3286}}\n',
    good=GOOD,
)
def no_type(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if not isinstance(entry.node.value, dict) or "type" in entry.raw:
        return
    near = nearest("type", [key for key in entry.raw if isinstance(key, str)])
    hint = f'write "type" for "{near}"' if near else f"add one of {', '.join(map(repr, TYPES))}"
    site = entry.key_at(near) if near else entry.at()
    repair = rename_key(site, near, "type") if near else None
    text = f"{entry.name!r} has no 'type', so no device can be made of it"
    yield Hit(site, text, hint, entry.name, repair=repair)


@entry_rule(
    "DDB105",
    Severity.ERROR,
    "unknown type",
    why="ARTIQ knows local, controller, controller_aux_target and dummy, and refuses every other.",
    bad='device_db = {"camera": {"type": "controler", "host": "::1", "port": 3286}}\n',
    good=GOOD,
)
def unknown_type(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if "type" not in entry.raw or entry.kind:
        return
    kind = entry.raw["type"]
    if is_known(kind):
        hint = did_you_mean(kind, TYPES).strip() if isinstance(kind, str) else ""
        known = ", ".join(map(repr, TYPES))
        yield Hit(
            entry.at("type"),
            f"{entry.name!r} has the type {shown(kind)}; ARTIQ knows {known}",
            hint,
            entry.name,
            repair=write(entry.at("type"), kind, only_candidate(kind, TYPES)) if hint else None,
        )


@entry_rule(
    "DDB106",
    Severity.ERROR,
    "required field missing",
    why="ARTIQ reads these fields without a default: KeyError when an experiment asks for the device.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1"}}\n',
    good=GOOD,
    kinds=("local", "controller", "controller_aux_target"),
)
def missing_field(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name in REQUIRED[entry.kind]:
        if name in entry.raw or name == "target_name":
            continue
        near = misspelling(name, entry)
        hint = f'write "{name}" for "{near}"' if near else f'add "{name}"'
        site = entry.key_at(near) if near else entry.at()
        repair = rename_key(site, near, name) if near else None
        text = f"{entry.name!r} is a {entry.kind} without {name!r}, which ARTIQ needs"
        yield Hit(site, text, hint, entry.name, repair=repair)


def misspelling(name: str, entry: Entry) -> str | None:
    """Return the key of an entry that is most likely a slip of a missing one."""
    forms = FORMS[entry.kind]
    return nearest(
        name, [key for key in entry.raw if isinstance(key, str) and key not in forms and key != "type"]
    )


@entry_rule(
    "DDB107",
    Severity.ERROR,
    "field of the wrong type",
    why="The field is passed on unchanged and fails far from the device database.",
    bad='device_db = {"camera": {"type": "controller", "host": 1, "port": 3286}}\n',
    good=GOOD,
    kinds=("local", "controller", "controller_aux_target"),
)
def wrong_type(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    forms = FORMS[entry.kind]
    for name, value in entry.raw.items():
        if name not in forms:
            continue
        form, check = forms[name]
        if not check(value) and is_known(value):
            text = f"{name!r} of {entry.name!r} is {shown(value)}, {kind_of(value)}; it must be {form}"
            yield Hit(entry.at(name), text, "", entry.name)


@entry_rule(
    "DDB108",
    Severity.ERROR,
    "required field empty",
    why="An empty host, module, class or controller name leads nowhere.",
    bad='device_db = {"camera": {"type": "controller", "host": "", "port": 3286}}\n',
    good=GOOD,
    kinds=("local", "controller", "controller_aux_target"),
)
def empty_field(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name in REQUIRED[entry.kind]:
        value = entry.raw.get(name)
        if name != "target_name" and isinstance(value, str) and not value.strip():
            yield Hit(entry.at(name), f"{name!r} of {entry.name!r} is empty", "", entry.name)


@entry_rule(
    "DDB109",
    Severity.ERROR,
    "port out of range",
    why="TCP ports go from 1 to 65535.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 328600}}\n',
    good=GOOD,
    kinds=("controller",),
)
def port_range(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name in ("port", "port_proxy"):
        value = entry.raw.get(name)
        if value is not None and _is_port(value) and not 1 <= int(value) <= 65535:
            text = f"{name!r} of {entry.name!r} is {shown(value)}; TCP ports go from 1 to 65535"
            yield Hit(entry.at(name), text, "", entry.name)


@entry_rule(
    "DDB110",
    Severity.WARNING,
    "port is a string",
    why="Connecting works, but the string differs from the same number elsewhere, so conflicts go unnoticed.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": "3286"}}\n',
    good=GOOD,
    kinds=("controller",),
)
def port_text(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name in ("port", "port_proxy"):
        value = entry.raw.get(name)
        if isinstance(value, str) and _is_digits(value):
            text = f"{name!r} of {entry.name!r} is the string {value!r}"
            hint = f"write {int(value)} without quotes"
            repair = write(entry.at(name), value, int(value))
            yield Hit(entry.at(name), text, hint, entry.name, repair=repair)


@lru_cache(4096)
def _fault_of_module(module: str) -> str:
    """What is wrong with the name of a module, "" if nothing. Many entries have the same one."""
    if module.startswith("."):
        return "is relative"
    if "/" in module or "\\" in module:
        return "is a path"
    if module != module.strip() or any(map(str.isspace, module)):
        return "holds white space"
    if module.endswith(".py"):
        return "is the name of a file"
    return "" if all(module.split(".")) else "has an empty part between its dots"


@entry_rule(
    "DDB115",
    Severity.ERROR,
    "module is not a module's name",
    why="ARTIQ imports the module by its dotted name. A path, a file name or a relative name cannot be imported.",
    bad='device_db = {"laser": {"type": "local", "module": "lab/laser.py", "class": "Laser"}}\n',
    good='device_db = {"laser": {"type": "local", "module": "lab.laser", "class": "Laser"}}\n',
    kinds=("local",),
)
def impossible_module(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    module, name = entry.text("module"), entry.text("class")
    if module and module.strip():
        said = _fault_of_module(module)
        if said:
            better = ".".join(part for part in re.split(r"[./\\\\\s]+", module.removesuffix(".py")) if part)
            text = f"'module' of {entry.name!r}, {module!r}, {said}; ARTIQ imports a dotted name"
            yield Hit(entry.at("module"), text, f"write {better!r}" if better else "", entry.name)
    if name and name.strip() and ("." in name or "(" in name or any(map(str.isspace, name))):
        better = name.strip().rpartition(".")[2].partition("(")[0]
        text = f"'class' of {entry.name!r}, {name!r}, is not the name of a class"
        yield Hit(entry.at("class"), text, f"write {better!r}" if better.isidentifier() else "", entry.name)

"""Rules about constructor arguments that ARTIQ's drivers refuse, from the table of `devicedb.drivers.constraints`."""

import re
from collections.abc import Iterator
from typing import Any, Final

from devicedb.drivers.constraints import ARTIQ, Constraint, accepting_releases, constraints, is_probed
from devicedb.model.database import CheckedDatabase, Entry, kind_of, shown
from devicedb.model.located import Opaque
from devicedb.rules.local import example, ttl
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule
from devicedb.rules.repairs import write
from devicedb.suggest import nearest, only_candidate

KINDS = ("local",)
GOOD = example(ttl('"channel": 0'))

_TYPES: Final = {
    "str": "a str",
    "NoneType": "None",
    "list": "a list",
    "dict": "a dict",
    "int": "an int",
    "float": "a float",
}


def known_constraints(entry: Entry, db: CheckedDatabase) -> dict[str, Constraint]:
    """Return the constraints of the entry's driver in the chosen release."""
    return constraints(db.drivers.release, *entry.driver) if entry.driver is not None else {}


def _type_of(value: Any) -> str:
    return "list" if isinstance(value, tuple) else type(value).__name__


def _wanted(constraint: Constraint) -> str:
    if constraint.device:
        what = "the name of a device" if constraint.device == "one" else "a list of names of devices"
        return what if "NoneType" in constraint.refused else f"{what}, or None"
    accepted = [text for kind, text in _TYPES.items() if kind not in constraint.refused]
    return " or ".join(accepted) if len(accepted) < 4 else "a value of another type"


@entry_rule(
    "DDB508",
    Severity.ERROR,
    "argument of a type that the driver refuses",
    why="The driver's constructor raises an exception, so no experiment gets the device.",
    bad=example(ttl('"channel": "0"')),
    good=GOOD,
    kinds=KINDS,
)
def refused_type(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name, constraint in known_constraints(entry, db).items():
        if name not in entry.arguments:
            continue
        value = entry.arguments[name]
        if constraint.device == "many":
            for each, path in items(name, value):
                if not isinstance(each, str | Opaque):
                    text = f"{name!r} of {entry.name!r} has the item {shown(each)}, {kind_of(each)}, no device's name"
                    yield Hit(entry.at("arguments", *path), text, "", entry.name)
        if isinstance(value, Opaque):
            continue
        # The device manager raises KeyError for what is no name; most drivers take a false value for "no device".
        is_no_name = constraint.device == "one" and bool(value) and not isinstance(value, str)
        if not is_no_name and _type_of(value) not in constraint.refused:
            continue
        wanted = _wanted(constraint)
        hint = ""
        new: int | tuple[str, ...] | None = None
        if constraint.device == "many" and isinstance(value, str):
            hint, new = f"write [{value!r}]", (value,)
        elif constraint.device == "one" and isinstance(value, list | tuple) and len(value) == 1:
            hint = f"write {value[0]!r}"
        elif isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,9}\s*", value):
            hint, new = f"write {int(value)} without quotes", int(value)
        text = f"{name!r} of {entry.name!r} is {shown(value)}, {kind_of(value)}; {entry.raw['class']} needs {wanted}"
        repair = write(entry.at("arguments", name), value, new)
        yield Hit(entry.at("arguments", name), text, hint, entry.name, repair=repair)


@entry_rule(
    "DDB509",
    Severity.ERROR,
    "argument value that the driver refuses",
    why="The driver accepts certain words or a range of numbers only; its constructor raises for others.",
    bad=example(
        ttl('"channel": 0'),
        '"other": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
        '        "arguments": {"host": "10.0.0.3", "ref_period": 1e-9, "target": "riscv"}}',
    ),
    good=GOOD,
    kinds=KINDS,
)
def refused_value(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name, constraint in known_constraints(entry, db).items():
        value = entry.arguments.get(name)
        if isinstance(value, str) and constraint.words and value not in constraint.words:
            words = ", ".join(constraint.words)
            driver = f"{entry.raw['class']} of ARTIQ {db.drivers.release}"
            text = f"{name!r} of {entry.name!r} is {value!r}; {driver} accepts {words}"
            near = nearest(value, constraint.words)
            hint = f"Did you mean {near!r}?" if near else ""
            older = accepting_releases(str(entry.raw["module"]), str(entry.raw["class"]), name, value)
            if older:
                hint = f"ARTIQ {', '.join(older)} accepts it: --artiq-release {older[-1]} if that is yours"
            repair = None
            if not older:
                repair = write(entry.at("arguments", name), value, only_candidate(value, constraint.words))
            yield Hit(entry.at("arguments", name), text, hint, entry.name, repair=repair)
        elif type(value) is int and not _is_within(value, constraint):
            if constraint.most is None:
                limits = f"at least {constraint.least}"
            elif constraint.least is None:
                limits = f"at most {constraint.most}"
            else:
                limits = f"{constraint.least} to {constraint.most}"
            text = f"{name!r} of {entry.name!r} is {value}; {entry.raw['class']} accepts {limits}"
            yield Hit(entry.at("arguments", name), text, "", entry.name)


@entry_rule(
    "DDB517",
    Severity.ERROR,
    "lists of an SU servo differ in length",
    why="Each Urukul of the servo has one DDS: the driver asserts that both lists have the same length.",
    bad=example(
        ttl('"channel": 0', "spi0", "SPIMaster", "artiq.coredevice.spi2"),
        ttl(
            '"channel": 1, "pgia_device": "spi0", "cpld_devices": [], "dds_devices": ["spi0"]',
            "servo0",
            "SUServo",
            "artiq.coredevice.suservo",
        ),
    ),
    good=GOOD,
    kinds=KINDS,
)
def servo_lists(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if entry.driver != (f"{ARTIQ}suservo", "SUServo"):
        return
    cplds, synthesisers = entry.arguments.get("cpld_devices"), entry.arguments.get("dds_devices")
    if isinstance(cplds, list | tuple) and isinstance(synthesisers, list | tuple):
        if len(cplds) != len(synthesisers):
            text = (
                f"'cpld_devices' of {entry.name!r} has {len(cplds)} names, 'dds_devices' {len(synthesisers)}; "
                "SUServo needs as many"
            )
            yield Hit(entry.at("arguments", "dds_devices"), text, "", entry.name)


def _is_within(value: int, constraint: Constraint) -> bool:
    low, high = constraint.least, constraint.most
    return (low is None or value >= low) and (high is None or value <= high)


@entry_rule(
    "DDB510",
    Severity.ERROR,
    "default device of a driver is missing",
    why="The driver asks for this device if the argument is not given: KeyError when the device is asked for.",
    bad='device_db = {\n    "ttl0": {"type": "local", "module": "artiq.coredevice.ttl", "class": "TTLOut",\n'
    '        "arguments": {"channel": 0}},\n}\n',
    good=GOOD,
    kinds=KINDS,
)
def default_missing(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    given = entry.arguments
    for name, constraint in known_constraints(entry, db).items():
        if constraint.default is None or name in given or db.provides(constraint.default):
            continue
        if not isinstance(entry.raw.get("arguments", given), dict) or any(
            not isinstance(key, str) for key in given
        ):
            return
        text = (
            f"{entry.raw['class']} of {entry.name!r} uses the device {constraint.default!r}, because {name!r} is not "
            "given; it is not in the database"
        )
        hint = f"add the entry {constraint.default!r}, or give {name!r}"
        yield Hit(entry.at("arguments"), text, hint, entry.name)


@entry_rule(
    "DDB511",
    Severity.ERROR,
    "wrong kind of device",
    why="The driver uses attributes of the device in its constructor; this kind of device does not have them.",
    bad=example(
        ttl('"channel": 0'),
        ttl('"cpld_device": "ttl0", "chip_select": 4', "dds0", "AD9910", "artiq.coredevice.ad9910"),
    ),
    good=GOOD,
    kinds=KINDS,
)
def wrong_kind(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for name, constraint in known_constraints(entry, db).items():
        value = entry.arguments.get(name, constraint.default)
        behind = db.entry_behind(value)
        kind = _probed_kind(behind, db) if behind is not None else None
        if constraint.kinds is None or kind is None or kind in constraint.kinds:
            continue
        wanted = " or ".join(each.partition(".")[2] for each in sorted(constraint.kinds))
        what = "a dummy" if kind == "dummy" else f"a {kind.partition('.')[2]}"
        text = f"{name!r} of {entry.name!r} is {value!r}, {what}; {entry.raw['class']} needs a {wanted}"
        yield Hit(entry.at("arguments", name), text, "", entry.name)


def items(name: str, value: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the items of a list of devices, each with its path."""
    return (
        [(each, (name, index)) for index, each in enumerate(value)] if isinstance(value, list | tuple) else []
    )


def _probed_kind(entry: Entry, db: CheckedDatabase) -> str | None:
    """The kind of a device, None if no one has tried how drivers take it."""
    if entry.kind == "dummy":
        return "dummy"
    if entry.kind == "local" and entry.driver is not None and is_probed(db.drivers.release, *entry.driver):
        return f"{entry.driver[0].removeprefix(ARTIQ)}.{entry.driver[1]}"
    return None


@database_rule(
    "DDB515",
    Severity.ERROR,
    "constructing the device raises",
    why="With --construct the devices are constructed as ARTIQ's device manager does it, without hardware. What raises "
    "here raises in every experiment that asks for the device.",
    bad=example(
        ttl('"channel": 20, "servo_device": "servo0"', "channel0", "Channel", "artiq.coredevice.suservo"),
        ttl('"channel": 4', "servo0", "SPIMaster", "artiq.coredevice.spi2"),
    ),
    good=GOOD,
)
def construction_raises(db: CheckedDatabase) -> Iterator[Hit]:
    for name, error in db.constructed.items():
        entry = db.entries[name]
        text = f": {error['text']}" if error["text"] else ""
        yield Hit(entry.at("arguments"), f"constructing {name!r} raises {error['kind']}{text}", "", name)

"""Rules about local devices: driver, constructor arguments, devices they name, RTIO channels."""

from collections.abc import Iterator
from typing import Any, Final

from devicedb.check.laboratory import Entry, Laboratory, kind_of, shown
from devicedb.drivers.signatures import Lookup
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule
from devicedb.suggest import nearest

KINDS = ("local",)
CORE = (
    '"core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
    '        "arguments": {"host": "10.0.0.2", "ref_period": 1e-9}}'
)


def _example(*entries: str) -> str:
    return "device_db = {\n    " + ",\n    ".join((CORE, *entries)) + ",\n}\n"


def _ttl(
    fields: str, name: str = "ttl0", class_: str = "TTLOut", module: str = "artiq.coredevice.ttl"
) -> str:
    return (
        f'"{name}": {{"type": "local", "module": "{module}", "class": "{class_}", "arguments": {{{fields}}}}}'
    )


GOOD = _example(_ttl('"channel": 0'))
NAMES_A_DEVICE: Final = frozenset({"core", "host_mirny"})
EEPROM: Final = frozenset({"sync_delay_seed", "io_update_delay"})
"""Arguments that are a number, or "DEVICE:offset"."""


def _lookup(entry: Entry, lab: Laboratory) -> Lookup:
    module, name = entry.text("module"), entry.text("class")
    return lab.drivers.lookup(module, name) if module and name else Lookup()


@entry_rule(
    "DDB501",
    Severity.ERROR,
    "driver misspelt",
    why="There is no such module or class, and one that is a slip away: the import fails when the device is asked for.",
    bad=_example(_ttl('"channel": 0', class_="TTlOut")),
    good=GOOD,
    kinds=KINDS,
)
def driver_misspelt(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """Module or class of a driver is a slip of a known one, or its source has no such class."""
    found = _lookup(entry, lab)
    if not found.missing:
        return
    is_artiq = (entry.text("module") or "").startswith("artiq.coredevice.")
    if found.near is None and (is_artiq or found.missing == "module"):
        return  # another release may have had it
    value = entry.raw[found.missing]
    where = f"module {entry.raw['module']!r}" if found.missing == "class" else "ARTIQ"
    hint = f"Did you mean {found.near!r}?" if found.near else ""
    text = f"{entry.name!r}: {where} has no {found.missing} {value!r}"
    yield Hit(entry.at(found.missing), text, hint, entry.name)


@entry_rule(
    "DDB502",
    Severity.INFO,
    "driver that this release of ARTIQ does not have",
    why="It may be an older or newer release's, or a fork's own. Its arguments are not checked.",
    bad=_example(_ttl('"chip_select": 1', "dac", "AD9154", "artiq.coredevice.ad9154_spi")),
    good=GOOD,
    kinds=KINDS,
)
def driver_of_another_release(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A driver in ARTIQ's name space is not in the release that is checked for."""
    found = _lookup(entry, lab)
    is_artiq = (entry.text("module") or "").startswith("artiq.coredevice.")
    driver = f"{entry.raw.get('module')}.{entry.raw.get('class')}"
    if found.releases:
        text = f"ARTIQ {lab.drivers.release} has no driver {driver}; ARTIQ {', '.join(found.releases)} has"
        yield Hit(entry.at("module"), text, "", entry.name)
    elif found.missing and found.near is None and is_artiq:
        text = f"no release of ARTIQ that is known here has {driver}"
        yield Hit(entry.at(found.missing), text, "", entry.name)


@entry_rule(
    "DDB503",
    Severity.ERROR,
    "argument names a device that is not there",
    why="The driver asks the device manager for it, and fails with a KeyError for a name that no experiment has.",
    bad=_example(_ttl('"channel": 0, "core_device": "kasli"')),
    good=GOOD,
    kinds=KINDS,
)
def argument_names_nothing(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """An argument that names devices names one that is not in the database."""
    for key, value in entry.arguments.items():
        if not isinstance(key, str):
            continue
        for name, path in device_names(key, value):
            if lab.knows(name):
                continue
            text = f"{key!r} of {entry.name!r} names the device {name!r}, which is not in the database"
            yield Hit(entry.at("arguments", *path), text, lab.suggestion(name).strip(), entry.name)


def device_names(key: str, value: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Names of devices in an argument, each with its path."""
    if key in EEPROM:
        if isinstance(value, str) and ":" in value:
            yield value.partition(":")[0], (key,)
        return
    if not (key in NAMES_A_DEVICE or key.endswith(("_device", "_devices"))):
        return
    values = [(value, (key,))]
    if isinstance(value, list | tuple):
        values = [(each, (key, index)) for index, each in enumerate(value)]  # type: ignore[misc]
    for each, path in values:
        # A laboratory's own driver may call /dev/ttyUSB0 or COM3:9600 a device.
        if isinstance(each, str) and each and not any(mark in each for mark in "/\\: "):
            yield each, path


def _has_dict(entry: Entry) -> bool:
    return "arguments" not in entry.raw or isinstance(entry.raw["arguments"], dict)


@entry_rule(
    "DDB504",
    Severity.ERROR,
    "unknown constructor argument",
    why="The driver's constructor does not take it: TypeError when the device is asked for.",
    bad=_example(_ttl('"chanel": 0, "channel": 0')),
    good=GOOD,
    kinds=KINDS,
)
def unknown_argument(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """`arguments` holds a name that the driver does not take."""
    signature = _lookup(entry, lab).signature
    if signature is None or signature.is_open:
        return
    known = (*signature.names, *signature.managers)
    for key in entry.arguments:
        if key in known:
            continue
        if not isinstance(key, str):
            text = f"{entry.name!r}: the argument {shown(key)} is a {kind_of(key)}; names of arguments are strings"
            yield Hit(_key_site(entry, key), text, "", entry.name)
            continue
        near = nearest(key, signature.names)
        hint = f"Did you mean {near!r}?" if near else f"it takes {', '.join(signature.names) or 'none'}"
        text = f"{entry.name!r}: {entry.raw['class']} takes no argument {key!r}"
        yield Hit(_key_site(entry, key), text, hint, entry.name)


@entry_rule(
    "DDB505",
    Severity.ERROR,
    "constructor argument missing",
    why="The driver's constructor has no default for it: TypeError when the device is asked for.",
    bad=_example(_ttl("")),
    good=GOOD,
    kinds=KINDS,
)
def missing_argument(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """`arguments` lacks a name that the driver needs."""
    signature = _lookup(entry, lab).signature
    if signature is None or not _has_dict(entry):
        return
    missing = [name for name in signature.required if name not in entry.arguments]
    if missing:
        names = ", ".join(map(repr, missing))
        text = f"{entry.name!r}: {entry.raw['class']} needs the argument{'s' if len(missing) > 1 else ''} {names}"
        yield Hit(entry.at("arguments"), text, "add it to 'arguments'", entry.name)


@entry_rule(
    "DDB506",
    Severity.ERROR,
    "constructor argument given twice",
    why="The device manager passes itself as the first argument; `arguments` gives it again: TypeError.",
    bad=_example(_ttl('"channel": 0, "dmgr": None')),
    good=GOOD,
    kinds=KINDS,
)
def given_twice(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """`arguments` holds the name of the parameter that the device manager fills."""
    signature = _lookup(entry, lab).signature
    if signature is None:
        return
    for name in signature.managers:
        if name in entry.arguments and name not in signature.names:
            text = f"{entry.name!r}: {name!r} is what ARTIQ fills with the device manager; it would be given twice"
            yield Hit(_key_site(entry, name), text, "remove it", entry.name)


def _key_site(entry: Entry, key: Any) -> int:
    node = entry.node.children.get("arguments")
    return node.key_at(key) if node is not None else entry.at()


RTIO: Final = frozenset(
    {f"artiq.coredevice.{name}" for name in ("ttl", "edge_counter", "spi2", "fastino", "rtio", "cxp_grabber")}
)
"""Modules whose `channel` is an RTIO channel; elsewhere it is one of a chip."""


@database_rule(
    "DDB507",
    Severity.WARNING,
    "different drivers on one RTIO channel",
    why="A channel has one kind of hardware behind it, so one of the two is wrong. A counter and its input share one.",
    bad=_example(_ttl('"channel": 4'), _ttl('"channel": 4', "spi0", "SPIMaster", "artiq.coredevice.spi2")),
    good=_example(_ttl('"channel": 4'), _ttl('"channel": 5', "spi0", "SPIMaster", "artiq.coredevice.spi2")),
)
def shared_channel(lab: Laboratory) -> Iterator[Hit]:
    """Devices of different classes have one RTIO channel of one core."""
    first: dict[tuple[str, int], Entry] = {}
    for entry in lab.of_kind("local"):
        channel = entry.arguments.get("channel")
        if entry.text("module") not in RTIO or type(channel) is not int or entry.text("class") is None:
            continue
        core = entry.arguments.get("core_device", "core")
        if not isinstance(core, str):
            continue
        key = (lab.walk(core).end or core, channel)
        other = first.setdefault(key, entry)
        classes = {str(entry.raw.get("class")), str(other.raw.get("class"))}
        if len(classes) > 1 and not (
            "EdgeCounter" in classes and any(name.startswith("TTLIn") for name in classes)
        ):
            text = (
                f"{entry.name!r} ({entry.raw['class']}) has RTIO channel {channel}, "
                f"as {other.name!r} ({other.raw.get('class')}) has"
            )
            yield Hit(entry.at("arguments", "channel"), text, "one of them has another channel", entry.name)

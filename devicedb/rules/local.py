"""Rules about local devices: driver, constructor arguments, devices they name, RTIO channels."""

from collections.abc import Iterator
from typing import Any, Final

from devicedb.drivers.history import gone_with, replaced_by, replacement
from devicedb.drivers.signatures import ARTIQ, Lookup
from devicedb.model.arguments import device_names, names_in
from devicedb.model.database import CheckedDatabase, Entry
from devicedb.model.fix import Repair, Replace
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule
from devicedb.rules.repairs import write
from devicedb.suggest import is_one_edit, only_candidate

KINDS = ("local",)
CORE = (
    '"core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
    '        "arguments": {"host": "10.0.0.2", "ref_period": 1e-9}}'
)


def example(*entries: str) -> str:
    """Return a database of a core device and some entries, for the examples of rules."""
    return "device_db = {\n    " + ",\n    ".join((CORE, *entries)) + ",\n}\n"


def ttl(fields: str, name: str = "ttl0", class_: str = "TTLOut", module: str = "artiq.coredevice.ttl") -> str:
    """Return the text of the entry of a local device, for the examples of rules."""
    return (
        f'"{name}": {{"type": "local", "module": "{module}", "class": "{class_}", "arguments": {{{fields}}}}}'
    )


GOOD = example(ttl('"channel": 0'))


_NO_DRIVER: Final = Lookup()


def found_driver(entry: Entry, db: CheckedDatabase) -> Lookup:
    """Return what is known of the driver of a local device."""
    return db.drivers.lookup(*entry.driver) if entry.driver is not None else _NO_DRIVER


@entry_rule(
    "DDB501",
    Severity.ERROR,
    "driver misspelt",
    why="The module or class does not exist, and a similar name does: the import fails when the device is asked for.",
    bad=example(ttl('"channel": 0', class_="TTlOut")),
    good=GOOD,
    kinds=KINDS,
)
def driver_misspelt(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    found = found_driver(entry, db)
    if not found.missing:
        return
    is_artiq = (entry.text("module") or "").startswith("artiq.coredevice.")
    if found.near is None and (is_artiq or found.missing == "module"):
        return  # another release may have had it
    value = entry.raw[found.missing]
    where = f"module {entry.raw['module']!r}" if found.missing == "class" else "ARTIQ"
    hint = f"Did you mean {found.near!r}?" if found.near else ""
    text = f"{entry.name!r}: {where} has no {found.missing} {value!r}"
    is_slip = found.near is not None and is_one_edit(value, found.near)
    repair = write(entry.at(found.missing), value, found.near) if is_slip else None
    yield Hit(entry.at(found.missing), text, hint, entry.name, repair=repair)


@entry_rule(
    "DDB502",
    Severity.ERROR,
    "driver that this release of ARTIQ does not have",
    why="The import fails when the device is asked for. It is an error if the release is named (--artiq-release, "
    "pyproject.toml) or installed; otherwise the driver may be another release's, or a fork's.",
    bad=example(ttl('"chip_select": 1', "dac", "AD9154", "artiq.coredevice.ad9154_spi")),
    good=GOOD,
    kinds=KINDS,
)
def driver_of_another_release(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    found = found_driver(entry, db)
    if entry.driver is None or not (found.releases or (found.missing and found.near is None)):
        return
    module, class_ = entry.driver
    if not module.startswith(ARTIQ):
        return
    # If no release is named or installed, the laboratory may use an older one.
    hint = replacement(module, class_)
    repair = _newer_driver(entry, module, class_, db)
    if found.releases:
        went = gone_with(found.releases, db.drivers.release)
        text = f"{entry.name!r}: ARTIQ {db.drivers.release} has no driver {module}.{class_}; {went}"
        severity = None if db.drivers.is_certain else Severity.INFO
        yield Hit(entry.at("module"), text, hint or "", entry.name, severity, repair)
    else:
        text = f"{entry.name!r}: no release of ARTIQ that is known here has {module}.{class_}"
        if hint is not None:
            text = f"{entry.name!r}: ARTIQ {db.drivers.release} has no driver {module}.{class_}; {gone_with((), '')}"
        is_error = db.drivers.is_installed or (db.drivers.is_certain and hint is not None)
        severity = None if is_error else Severity.INFO
        yield Hit(entry.at(found.missing), text, hint or "", entry.name, severity, repair)


def _newer_driver(entry: Entry, module: str, class_: str, db: CheckedDatabase) -> Repair | None:
    """The repair to the driver that replaced one that is gone, if it takes the same arguments."""
    new = replaced_by(module, class_)
    signature = db.drivers.lookup(*new).signature if new and db.drivers.is_certain else None
    if new is None or signature is None or not set(signature.required) <= entry.arguments.keys():
        return None
    if not entry.arguments.keys() <= set(signature.names):
        return None
    changes = [
        Replace(entry.at(key), entry.raw[key], better)
        for key, better in (("module", new[0]), ("class", new[1]))
        if entry.raw[key] != better
    ]
    return Repair(f'write "module": "{new[0]}", "class": "{new[1]}"', tuple(changes))


@entry_rule(
    "DDB503",
    Severity.ERROR,
    "argument names an unknown device",
    why="The driver asks the device manager for it: KeyError for a name that no experiment mentions.",
    bad=example(ttl('"channel": 0, "core_device": "kasli"')),
    good=GOOD,
    kinds=KINDS,
)
def argument_names_nothing(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    module, class_ = entry.text("module") or "", entry.text("class") or ""
    used = None if module.startswith(ARTIQ) else db.drivers.device_arguments(module, class_)
    for key, value in entry.arguments.items():
        if not isinstance(key, str):
            continue
        named = device_names(key, value)
        if used is not None and key in used:
            named = names_in(key, value)
        for name, path in named:
            if db.provides(name):
                continue
            text = f"{key!r} of {entry.name!r} names the device {name!r}, which is not in the database"
            hint = db.suggestion(name).strip()
            severity = None
            if (
                not module.startswith(ARTIQ)
                and (used is None or key not in used)
                and key not in {"core", "core_device"}
            ):
                # The driver is the laboratory's own: the name may be the instrument's, as its maker calls it.
                if used is not None or not hint:
                    continue
                severity = Severity.WARNING
            site = entry.at("arguments", *path)
            meant = only_candidate(name, db.entries)
            repair = write(site, name, meant) if name in (value, *_listed(value)) else None
            yield Hit(site, text, hint, entry.name, severity, repair)


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else ()


RTIO: Final = frozenset(
    {f"artiq.coredevice.{name}" for name in ("ttl", "edge_counter", "spi2", "fastino", "rtio", "cxp_grabber")}
)
"""Modules whose `channel` is an RTIO channel; elsewhere it is one of a chip."""


@database_rule(
    "DDB507",
    Severity.WARNING,
    "different drivers on one RTIO channel",
    why="A channel drives one kind of hardware, so one entry is wrong. Only a counter and its input share a channel.",
    bad=example(ttl('"channel": 4'), ttl('"channel": 4', "spi0", "SPIMaster", "artiq.coredevice.spi2")),
    good=example(ttl('"channel": 4'), ttl('"channel": 5', "spi0", "SPIMaster", "artiq.coredevice.spi2")),
)
def shared_channel(db: CheckedDatabase) -> Iterator[Hit]:
    first: dict[tuple[str, int], tuple[Entry, str]] = {}
    for entry in db.of_kind("local"):
        channel = entry.arguments.get("channel")
        if entry.driver is None or entry.driver[0] not in RTIO or type(channel) is not int:
            continue
        core = entry.arguments.get("core_device", "core")
        if not isinstance(core, str):
            continue
        key = (db.walk(core).end or core, channel)
        other, other_class = first.setdefault(key, (entry, entry.driver[1]))
        classes = {entry.driver[1], other_class}
        if len(classes) > 1 and not (
            "EdgeCounter" in classes and any(name.startswith("TTLIn") for name in classes)
        ):
            text = (
                f"{entry.name!r} ({entry.raw['class']}) has RTIO channel {channel}, "
                f"as {other.name!r} ({other_class}) has"
            )
            yield Hit(entry.at("arguments", "channel"), text, "one of them has another channel", entry.name)

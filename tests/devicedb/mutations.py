"""Faults of an entry or of a file: each function yields mutants of one; `mutations_between` has the others."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.devicedb.mutants import ARTIQ, Mutant, Text, Written, displays

CONTROLLERS: Final = ("controller", "controller_aux_target")


def types(text: Text, entry: Written) -> Iterator[Mutant]:
    if entry.kind in {"local", *CONTROLLERS}:
        value = entry.values["type"]
        for new in ('"controler"', '"Local"', "None", "3"):
            yield text.replaced("DDB105", f"type {new}", value, new)
        yield text.key_edited("DDB104", "type misspelt", entry, "type", "tpye")


def ports(text: Text, entry: Written) -> Iterator[Mutant]:
    if entry.kind != "controller":
        return
    for key in ("port", "port_proxy"):
        if entry.constant(key) is not None:
            value = entry.values[key]
            for new in ("0", "70000", "-1"):
                yield text.replaced("DDB109", f"{key} {new}", value, new)
            yield text.replaced("DDB110", f"{key} in quotes", value, f'"{entry.constant(key)}"')
            for new in ('"usb"', "3.5", "[3250]"):
                yield text.replaced("DDB107", f"{key} {new}", value, new)


REQUIRED: Final = {
    "controller": ("host", "port"),
    "local": ("module", "class"),
    "controller_aux_target": ("controller",),
}


def required(text: Text, entry: Written) -> Iterator[Mutant]:
    for key in REQUIRED.get(entry.kind, ()):
        if key not in entry.values:
            continue
        # class and module are read before anything else of a local entry can be said
        yield text.removed("DDB106", entry, key, entry.node.lineno)
        yield text.key_edited("DDB106", f"{key} misspelt", entry, key, key[:-1] + key[-1] * 2)
        if key != "port" and entry.constant(key) is not None:
            yield text.replaced("DDB108", f"{key} empty", entry.values[key], '""')
            yield text.replaced("DDB107", f"{key} a number", entry.values[key], "5")


def drivers(text: Text, entry: Written) -> Iterator[Mutant]:
    module, name = entry.constant("module"), entry.constant("class")
    if entry.kind != "local" or not isinstance(module, str) or not module.startswith(ARTIQ):
        return
    stem = module.rstrip("0123456789")  # another number is another chip, not a slip
    slip = f'"{stem}{stem[-1]}{module[len(stem) :]}"'
    yield text.replaced("DDB501", "module misspelt", entry.values["module"], slip)
    yield text.replaced("DDB502", "unknown module", entry.values["module"], f'"{ARTIQ}quantum_router"')
    if name:
        yield text.replaced("DDB501", "class misspelt", entry.values["class"], f'"{name[:1]}{name[2:]}"')
    arguments = entry.values.get("arguments")
    if not isinstance(arguments, ast.Dict):
        return
    inner = next(each for each in displays(arguments) if each.node is arguments)
    yield text.inserted("DDB504", inner, "colour", "1")
    if name:
        yield text.inserted("DDB506", inner, "dmgr", "None")
    yield text.replaced("DDB107", "arguments a list", arguments, "[1]")
    needed = {
        "channel",
        "host",
        "ref_period",
        "spi_device",
        "cpld_device",
        "host_mirny",
        "chip_select",
        "channel_base",
    }
    for key in sorted(needed & set(inner.values)):
        yield text.removed("DDB505", inner, key, arguments.lineno)
        yield text.key_edited("DDB504", f"{key} misspelt", inner, key, key[:-1])
    for key, value in inner.values.items():
        if key.endswith("_device") and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield text.replaced("DDB503", f"{key} misspelt", value, f'"{value.value}x"')
        elif key.endswith("_device") and isinstance(value, ast.JoinedStr):
            start, end = text.span(value)
            yield text.replaced("DDB503", f"{key} misspelt", value, text.text[start : end - 1] + 'x"')
    if "core_device" not in inner.values and name in {
        "TTLOut",
        "TTLInOut",
        "SPIMaster",
        "EdgeCounter",
        "Fastino",
    }:
        yield text.inserted("DDB503", inner, "core_device", '"koer"')


def targets(text: Text, entry: Written) -> Iterator[Mutant]:
    if entry.kind not in CONTROLLERS:
        return
    target = entry.constant("target_name")
    if target:
        value = entry.values["target_name"]
        yield text.replaced("DDB307", "white space in target", value, f'"{target} x"')
        if entry.kind == "controller_aux_target":
            for new in ('""', "None", "7"):
                yield text.replaced("DDB301", f"target_name {new}", value, new)
            yield text.removed("DDB301", entry, "target_name", entry.node.lineno)
            yield text.key_edited("DDB301", "target for target_name", entry, "target_name", "target")
        else:
            yield text.key_edited("DDB401", "target for target_name", entry, "target_name", "target")
            yield text.replaced("DDB107", "target_name a number", value, "7")
    if entry.kind == "controller_aux_target" and entry.constant("controller"):
        value = entry.values["controller"]
        yield text.replaced("DDB302", "controller misspelt", value, f'"{entry.constant("controller")}x"')


def commands(text: Text, entry: Written) -> Iterator[Mutant]:
    value = entry.values.get("command")
    if entry.kind != "controller" or value is None:
        return
    start, end = text.span(value)
    written = text.text[start:end]
    line = value.lineno
    yield text.replaced("DDB402", "command a list", value, '["aqctl_x"]')
    yield text.replaced("DDB402", "command empty", value, '""')
    if "{port}" not in written:
        return
    for code, what, new in (
        ("DDB405", "placeholder misspelt", "{prot}"),
        ("DDB404", "brace not closed", "{port"),
        ("DDB403", "quote not closed", "{port} 'x"),
        ("DDB407", "another port", "9"),
        ("DDB406", "port not passed", ""),
    ):
        changed = written.replace("{port}", new, 1)
        if code == "DDB406":
            changed = re.sub(r"(-p|--port-control|--port) (?= |--)", "", changed)
        yield text.edited(code, what, line, start, end, changed)


def extras(text: Text, entry: Written) -> Iterator[Mutant]:
    if entry.kind in {"local", "dummy", *CONTROLLERS}:
        yield text.inserted("DDB702", entry, "rack_number", "3")
    if entry.kind == "controller" and "best_effort" not in entry.values:
        yield text.inserted("DDB701", entry, "best_efort", "True")
    if entry.kind == "controller" and "ping_timer" not in entry.values:
        yield text.inserted("DDB107", entry, "ping_timer", '"fast"')
    config = entry.values.get("simple_ssl_config")
    if isinstance(config, ast.Dict):
        inner = next(each for each in displays(config) if each.node is config)
        for key in inner.values:
            yield text.removed("DDB409", inner, key, config.lineno)
            yield text.replaced("DDB409", f"{key} None", inner.values[key], "None")


def duplicates(text: Text, entry: Written) -> Iterator[Mutant]:
    if not isinstance(entry.node, ast.Dict) or not entry.keys:
        return
    key, node = next(iter(entry.keys.items()))
    start, end = text.span(entry.values[key])
    written = text.text[start:end]
    at = text.span(entry.node)[0] + 1
    down = written.count("\n")
    yield text.edited("DDB111", f"{key} twice, differing", node.lineno, at, at, f'"{key}": "other", ')
    yield text.edited("DDB112", f"{key} twice, equal", node.lineno + down, at, at, f'"{key}": {written}, ')


ENTRY: Final[list[Callable[[Text, Written], Iterator[Mutant]]]] = [
    types,
    ports,
    required,
    drivers,
    targets,
    commands,
    extras,
    duplicates,
]

ALIAS_LINE: Final = re.compile(
    r'^\s*"(?!target_name|type|class|host)\w+": "\w+",?$|\] = "\w+"$|update\(\w+="'
)
MARKER: Final = re.compile(r"#~(port|host)")


def markers(text: Text) -> Iterator[Mutant]:
    """Values that reach an entry from elsewhere: the line is marked in the corpus."""
    for number, line in enumerate(text.text.splitlines(), 1):
        found = MARKER.search(line)
        if found is None:
            continue
        start = text.starts[number - 1]
        if found[1] == "port":
            old = list(re.finditer(r"\d{4}", line))[-1]
            for code, new in (
                ("DDB109", "0"),
                ("DDB109", "99999"),
                ("DDB110", f'"{old[0]}"'),
                ("DDB107", "None"),
            ):
                yield text.edited(
                    code, f"{new} far away", number, start + old.start(), start + old.end(), new
                )
        else:
            old = list(re.finditer(r'"[^"]*"', line))[-1]
            for code, new in (("DDB108", '""'), ("DDB107", "12")):
                yield text.edited(
                    code, f"host {new} far away", number, start + old.start(), start + old.end(), new
                )


def faults(text: Text) -> Iterator[Mutant]:
    """Faults of the file itself, in the database and in what it imports."""
    line = len(text.starts)
    if text.name.startswith("lab_drivers"):
        return  # drivers are parsed, not run
    yield text.appended("DDB001", "syntax error", "x = = 1")
    yield text.appended("DDB001", "bracket not closed", "x = (1,")
    yield text.appended("DDB002", "exception", "[][0]")
    yield text.appended("DDB003", "missing module", "import a_module_that_is_nowhere")
    yield text.appended("DDB007", "exit", "raise SystemExit(2)")
    if text.name != "device_db.py":
        return
    yield text.appended("DDB004", "no device_db", "del device_db", 1)
    yield text.appended("DDB005", "a list", "device_db = [1]")
    yield text.appended("DDB010", "prints", "print('loaded')")
    yield text.appended("DDB101", "key a number", 'device_db[5] = {"type": "dummy"}')
    for name in ("two words", "a:b", "line\\nbreak", ""):
        yield text.appended("DDB102", f"name {name}", f'device_db["{name}"] = {{"type": "dummy"}}')
    for value in ("None", "7", '({"type": "dummy"},)', "[]", "object()"):
        yield text.appended("DDB103", f"entry {value}", f'device_db["odd"] = {value}')
    yield text.appended("DDB201", "alias to nothing", 'device_db["nick"] = "nobody_at_all"')
    yield text.appended("DDB201", "alias to nothing", 'device_db.update({"nick": "nobody_at_all"})')
    yield text.appended("DDB201", "alias to nothing", 'device_db |= dict(nick="nobody_at_all")')
    yield text.appended("DDB202", "alias of itself", 'device_db["nick"] = "nick"')
    yield text.appended("DDB202", "two aliases", 'device_db["one"] = "two"\ndevice_db["two"] = "one"', line)


FILE: Final[list[Callable[[Text], Iterator[Mutant]]]] = [markers, faults]

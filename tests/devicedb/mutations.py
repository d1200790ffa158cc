"""The faults that mutants have: each function yields mutants of one entry, one file or one database."""

import ast
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDBError, load_file
from devicedb.database import DeviceDatabase
from devicedb.rules.examples import MARK, write
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
    yield text.replaced(
        "DDB501", "module misspelt", entry.values["module"], f'"{module[:-1]}{module[-1] * 2}"'
    )
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
    yield text.appended("DDB010", "prints", "print('loaded')", 1)
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


def joined(files: Mapping[str, str]) -> str:
    """The files of a database as one example."""
    return files["device_db.py"] + "".join(
        f"{MARK}{name}\n{text}" for name, text in files.items() if name != "device_db.py"
    )


def loaded(files: Mapping[str, str]) -> DeviceDatabase:
    """The database as ARTIQ would see it: says which entry is whose, independently of the check."""
    with tempfile.TemporaryDirectory() as folder:
        return load_file(write(joined(files), Path(folder)))


def written(
    database: str, files: Mapping[str, str], raw: Mapping[str, Any], *keys: str
) -> tuple[Text, Written] | None:
    """The display of an entry, if exactly one has its constants."""
    found = []
    for name, source in files.items():
        if name.endswith(".py") and source.strip():
            text = Text(database, name, files)
            found += [
                (text, each)
                for each in displays(text.tree)
                if all(key in each.values and each.constant(key) == raw.get(key) for key in ("type", *keys))
            ]
    return found[0] if len(found) == 1 else None


def of_aux_targets(database: str, files: Mapping[str, str]) -> Iterator[Mutant]:
    """Faults between an aux target and its controller."""
    loaded_database = loaded(files)
    for name, raw in loaded_database.raw.items():
        if not isinstance(raw, dict) or raw.get("type") != "controller_aux_target":
            continue
        aux = written(database, files, raw, "target_name")
        try:
            behind = loaded_database.raw[loaded_database.endpoint(name, {"ARTIQ_SSL_DIR": "/"}).controller]
        except DeviceDBError:
            continue
        controller = written(database, files, behind, "target_name")
        if aux is None or controller is None:
            continue
        text, entry = controller
        yield text.removed("DDB305", entry, "target_name", entry.node.lineno)
        yield text.replaced("DDB305", "target_name None", entry.values["target_name"], "None")
        aux_text, aux_entry = aux
        yield aux_text.replaced(
            "DDB306", "same target", aux_entry.values["target_name"], f'"{behind["target_name"]}"'
        )
        if "rexec" in raw["target_name"] and not behind.get("simple_ssl_config") and entry.constant("host"):
            far = text.replaced("DDB410", "far away", entry.values["host"], '"10.9.9.9"')
            yield Mutant(
                database, "DDB410", far.what, aux_text.name, aux_entry.values["target_name"].lineno, far.files
            )
        if "rexec" in raw["target_name"] and "command" in entry.values:
            yield text.inserted("DDB411", entry, "ping_timer", "5")
        controller_value = aux_entry.values["controller"]
        main = Text(database, "device_db.py", files)
        if aux_text.name == "device_db.py" and isinstance(controller_value, ast.Constant):
            line = controller_value.lineno
            start, end = main.span(controller_value)
            for code, added in (("DDB303", '{"type": "dummy"}'), ("DDB304", '"nobody_at_all"')):
                new = main.text[:start] + '"thing"' + main.text[end:] + f'device_db["thing"] = {added}\n'
                yield Mutant(
                    database, code, "other controller", "device_db.py", line, {**files, "device_db.py": new}
                )


def of_pairs(database: str, files: Mapping[str, str]) -> Iterator[Mutant]:
    """Faults between two entries: ports of controllers that would start, channels."""
    raw = loaded(files).raw
    entries = [value for value in raw.values() if isinstance(value, dict)]
    for index, later in enumerate(entries):
        place = None
        if later.get("type") == "controller" and later.get("command"):
            place = written(database, files, later, "port")
        if place is None:
            continue
        for earlier in entries[:index]:
            if (
                earlier.get("command")
                and earlier["host"] == later["host"]
                and earlier["port"] != later["port"]
            ):
                text, entry = place
                yield text.replaced("DDB408", "port in use", entry.values["port"], str(earlier["port"]))
                break
    channels = [each for each in entries if str(each.get("module", "")).endswith((".ttl", ".spi2"))]
    for index, later in enumerate(channels):
        for earlier in channels[:index]:
            if earlier["class"] == later["class"]:
                continue
            found = None
            for name, source in files.items():
                if not (name.endswith(".py") and source.strip()):
                    continue
                text = Text(database, name, files)
                for each in displays(text.tree):
                    inner = each.values.get("arguments")
                    if each.constant("class") != later["class"] or not isinstance(inner, ast.Dict):
                        continue
                    if not isinstance(inner.values[0], ast.Constant) or len(inner.values) > 1:
                        continue
                    if inner.values[0].value == later["arguments"].get("channel"):
                        found = text.replaced(
                            "DDB507", "channel in use", inner.values[0], str(earlier["arguments"]["channel"])
                        )
            if found is not None:
                yield found
            break


def of_names(database: str, files: Mapping[str, str]) -> Iterator[Mutant]:
    """Names that are written twice, aliases that are misspelt, an alias called core."""
    text = Text(database, "device_db.py", files)
    raw = loaded(files).raw
    names = [name for name in raw if re.search(rf'^    "{name}": |device_db\["{name}"\] = ', text.text, re.M)]
    for name in names[:4]:
        if re.search(rf'device_db = \{{(\n|.)*?^    "{name}":|device_db\["{name}"\] = ', text.text, re.M):
            is_plain = (
                "for name" not in text.text and "hardware" not in text.text and "aliases = " not in text.text
            )
            if is_plain:
                yield text.appended("DDB113", f"{name} again", f'device_db["{name}"] = {{"type": "dummy"}}')
    if "core" not in raw and raw:
        yield text.appended("DDB203", "core an alias", f'device_db["core"] = "{next(iter(raw))}"')
    for node in ast.walk(text.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        is_alias_value = any(raw.get(name) == node.value for name in raw if isinstance(raw[name], str))
        before = text.text[: text.span(node)[0]].rstrip()
        if is_alias_value and before.endswith((":", "=")) and '"controller":' not in before[-14:]:
            line = text.text.splitlines()[node.lineno - 1]
            if re.search(
                r'^\s*"(?!target_name|type|class|host)\w+": "\w+",?$|\] = "\w+"$|update\(\w+="\w+"\)|\] = name',
                line,
            ):
                yield text.replaced("DDB201", "alias misspelt", node, f'"{node.value}_x"')


DATABASE: Final[list[Callable[[str, Mapping[str, str]], Iterator[Mutant]]]] = [
    of_aux_targets,
    of_pairs,
    of_names,
]

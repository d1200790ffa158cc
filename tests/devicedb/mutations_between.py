"""Faults between entries of a database: each function yields mutants of what several entries are to one another."""

import ast
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDBError, load_file
from devicedb.database import DeviceDatabase
from devicedb.rules.examples import MARK, write
from tests.devicedb.mutants import Mutant, Text, Written, displays


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

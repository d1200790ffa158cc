"""Makes a catalogue of drivers from the source of a package: parsed, never imported."""

import ast
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from devicedb.drivers.signatures import MANAGER_NAMES, Drivers, Signature
from devicedb.drivers.sources import ClassSource, SourceFinder, python_files
from devicedb.errors import DeviceDBError

Catalogue: TypeAlias = dict[str, dict[str, list[dict[str, Any]]]]
"""{module: {class: its forms by release}}, as the file has it under `drivers`."""

ABOUT: Final = (
    "Drivers for `local` device database entries: module, class, and the names that its `arguments` must "
    "(required) and may (optional) hold, by release. The device manager passes itself as the first argument; it "
    "is left out here. `open` marks a driver that takes any further name."
)


class CatalogueError(DeviceDBError):
    """A package is not found, or a file is not a catalogue."""


@dataclass(frozen=True)
class Package:
    """A package of drivers and the folder from which its modules are named."""

    root: Path
    folder: Path


def find_package(name: str, path: Sequence[str] | None = None) -> Package:
    """Return a package by the path of its folder or by its dotted name.

    Args:
        name: A folder (modules are named from the first folder above it that is no package), or a dotted name.
        path: Folders in which dotted names are looked for; default: Python's own path.

    Raises:
        CatalogueError: There is no such folder, and no such package.

    """
    folder = Path(name)
    if folder.is_dir():
        folder = folder.resolve()
        root = folder
        while (root / "__init__.py").is_file():
            root = root.parent
        return Package(root, folder)
    for each in sys.path if path is None else path:
        found = Path(each or ".", *name.split("."))
        if found.is_dir():
            return Package(Path(each or ".").resolve(), found.resolve())
    raise CatalogueError(
        f"{name}: there is no such folder, and no such package on Python's path. Give the folder of a checkout"
    )


def drivers_in(
    package: Package, managers: Collection[str] = MANAGER_NAMES
) -> Iterator[tuple[str, str, Signature]]:
    """Yield module, class and signature of every driver: a class whose constructor takes the device manager.

    Args:
        package: Where to look.
        managers: What the first parameter of a driver's constructor is called.

    Raises:
        CatalogueError: A file cannot be parsed, so the catalogue would be incomplete.

    """
    drivers = Drivers(finder=SourceFinder((str(package.root),)))
    for file in python_files(package.folder):
        steps = list(file.relative_to(package.root).with_suffix("").parts)
        if steps[-1] == "__init__":
            steps.pop()
        if not steps or not all(step.isidentifier() for step in steps):
            continue  # no module that an entry could name
        module = ".".join(steps)
        source = drivers.finder.source(module)
        if source is None:
            raise CatalogueError(
                f"{file}: cannot be parsed by Python {sys.version_info[0]}.{sys.version_info[1]}"
            )
        for node in source.tree.body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            signature = drivers.of_class(ClassSource(node, source))
            if signature is not None and signature.managers[0] in managers:
                yield module, node.name, signature


def add(known: Catalogue, found: Iterator[tuple[str, str, Signature]], release: str) -> Catalogue:
    """Return a catalogue in which one release is replaced and the others are unchanged.

    Args:
        known: The catalogue so far; empty for a new one.
        found: Module, class and signature of each driver of the release.
        release: The release, as `--artiq-release` names it.

    """
    forms: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for module, classes in known.items():
        for name, old in classes.items():
            for form in old:
                others = [each for each in form["releases"] if each != release]
                if others:
                    forms.setdefault((module, name), []).append({**form, "releases": others})
    for module, name, signature in found:
        form = {"required": list(signature.required), "optional": list(signature.optional)}
        if signature.is_open:
            form["open"] = True
        mine = forms.setdefault((module, name), [])
        same = next((each for each in mine if _meaning(each) == _meaning(form)), None)
        if same is None:
            mine.append({"releases": [release], **form})
        else:
            same["releases"] = sorted([*same["releases"], release], key=_number)
    made: Catalogue = {}
    for (module, name), each in sorted(forms.items()):
        made.setdefault(module, {})[name] = sorted(each, key=lambda form: _number(form["releases"][0]))
    return made


def _meaning(form: dict[str, Any]) -> tuple[Any, ...]:
    return form["required"], form["optional"], form.get("open", False)


def _number(release: str) -> tuple[int, str]:
    return (int(release), "") if release.isdecimal() else (sys.maxsize, release)


def read(path: Path) -> Catalogue:
    """Return the drivers of a catalogue file; CatalogueError where it is none."""
    try:
        drivers = json.loads(path.read_bytes())["drivers"]
        for classes in drivers.values():
            for forms in classes.values():
                for form in forms:
                    _meaning(form), list(form["releases"])
    except OSError as error:
        raise CatalogueError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CatalogueError(f"{os.fspath(path)}: is no catalogue of drivers: {error!r}") from None
    return dict(drivers)


def as_json(drivers: Catalogue) -> str:
    """Return the text of a catalogue file."""
    return json.dumps({"about": ABOUT, "drivers": drivers}, indent=1) + "\n"

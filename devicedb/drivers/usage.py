"""What the experiments of a laboratory ask for: names of devices, and methods that they call on them."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb.check.located import Place
from devicedb.drivers.sources import python_files, read

GETTERS: Final = frozenset({"get_device", "setattr_device"})
VIRTUAL: Final = frozenset({"scheduler", "ccb"})
"""Devices that every master provides beside the database."""


@dataclass(frozen=True)
class DeviceUse:
    """A name that an experiment asks for."""

    name: str
    place: Place


@dataclass(frozen=True)
class MethodCall:
    """A method that an experiment calls on a device."""

    device: str
    method: str
    place: Place


@dataclass(frozen=True)
class Usage:
    """All that was found in the experiments."""

    uses: tuple[DeviceUse, ...] = ()
    calls: tuple[MethodCall, ...] = ()
    computed: int = 0
    """Names that are computed, and were left alone."""
    files: int = 0
    unreadable: tuple[str, ...] = ()


def scan(folder: Path) -> Usage:
    """Return what the experiments in a folder (or one file) ask for."""
    found = _Found()
    unreadable = []
    files = [folder] if folder.is_file() else list(python_files(folder))
    for path in files:
        source = read(path, path.stem)
        if source is None:
            unreadable.append(str(path))
        else:
            _Scan(str(path), found).module(source.tree)
    return Usage(tuple(found.uses), tuple(found.calls), found.computed, len(files), tuple(unreadable))


class _Found:
    def __init__(self) -> None:
        self.uses: list[DeviceUse] = []
        self.calls: list[MethodCall] = []
        self.computed = 0


Constants = Mapping[str, tuple[str, ...]]
"""Variables whose value is one or several constant strings."""


class _Scan:
    """Scans one file."""

    def __init__(self, path: str, found: _Found) -> None:
        self.path = path
        self.found = found

    def module(self, tree: ast.Module) -> None:
        constants = dict(constants_of(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.of_class(node, constants)
            else:
                self.names_in(node, constants)

    def of_class(self, node: ast.ClassDef, outer: Constants) -> None:
        attributes = dict(constants_of(node.body))
        constants = {**outer, **attributes}
        constants |= {
            f"{owner}.{name}": value for name, value in attributes.items() for owner in ("self", node.name)
        }
        for statement in node.body:
            self.names_in(statement, constants)
        devices = dict(self.bound(node, constants))
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                device = devices.get(dotted(call.func.value))
                if device is not None:
                    self.found.calls.append(MethodCall(device, call.func.attr, self.place(call.func)))

    def names_in(self, root: ast.AST, constants: Constants) -> None:
        """Note every name that is asked for below a node; loops over constants bind their variable."""
        constants = {**constants, **dict(loops_in(root, constants))}
        for call in ast.walk(root):
            name = getter(call)
            if name is None:
                continue
            values = strings_of(name, constants)
            if values is None:
                self.found.computed += 1
            else:
                self.found.uses += [DeviceUse(each, self.place(name)) for each in values]

    def bound(self, node: ast.ClassDef, constants: Constants) -> Iterator[tuple[str, str]]:
        """Which attributes and variables of a class hold which device; one that is bound twice to none."""
        seen: dict[str, set[str | None]] = {}
        for each in ast.walk(node):
            target, name = None, None
            if isinstance(each, ast.Call) and getter(each) is not None:
                values = strings_of(getter(each), constants) or ()
                if isinstance(each.func, ast.Attribute) and each.func.attr == "setattr_device":
                    for value in values:
                        seen.setdefault(f"self.{value}", set()).add(value)
                continue
            if isinstance(each, ast.Assign) and len(each.targets) == 1:
                target = dotted(each.targets[0])
                value_names = strings_of(getter(each.value), constants)
                name = value_names[0] if value_names is not None and len(value_names) == 1 else None
            if target:
                seen.setdefault(target, set()).add(name)
        for target, names in seen.items():
            only = next(iter(names))
            if len(names) == 1 and only is not None:
                yield target, only

    def place(self, node: ast.expr) -> Place:
        return Place(
            self.path, node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0
        )


def getter(node: ast.AST | None) -> ast.expr | None:
    """Return the name's expression of a call of get_device or setattr_device."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in GETTERS:
        if node.args and not isinstance(node.args[0], ast.Starred):
            return node.args[0]
        return next((each.value for each in node.keywords if each.arg == "key"), None)
    return None


def dotted(node: ast.expr) -> str:
    """Return `a` or `self.a` as text, "" for anything longer or computed."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def constants_of(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names in a body that are assigned once, to a constant string or a display of such."""
    assigned: dict[str, list[ast.expr]] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                assigned.setdefault(dotted(target), []).append(statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            assigned.setdefault(dotted(statement.target), []).append(statement.value)
        elif isinstance(statement, ast.AugAssign):
            assigned.setdefault(dotted(statement.target), []).extend([statement.value, statement.value])
    for name, values in assigned.items():
        strings = strings_of(values[0], {}) if len(values) == 1 else None
        if name and strings is not None:
            yield name, strings


def strings_of(node: ast.expr | None, constants: Constants) -> tuple[str, ...] | None:
    """Return the strings that an expression can only be, None where it is computed."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        parts = [strings_of(each, constants) for each in node.elts]
        return tuple(text for part in parts if part for text in part) if all(parts) else None
    if isinstance(node, ast.Name | ast.Attribute):
        return constants.get(dotted(node))
    return None


def loops_in(root: ast.AST, constants: Constants) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the variables of loops and comprehensions over constant strings."""
    found: dict[str, tuple[str, ...] | None] = {}
    for node in ast.walk(root):
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
            name = node.target.id
            values = strings_of(node.iter, constants)
            known = found.get(name, ())
            found[name] = None if values is None or known is None else known + values
    yield from ((name, values) for name, values in found.items() if values is not None)

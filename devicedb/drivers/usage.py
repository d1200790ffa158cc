"""What the experiments of a laboratory ask for: names of devices, and methods that they call on them."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb.drivers.sources import python_files, read
from devicedb.place import Place

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
    """The devices and methods that experiments use."""

    uses: tuple[DeviceUse, ...] = ()
    calls: tuple[MethodCall, ...] = ()
    computed: int = 0
    """Number of computed names, which are not checked."""
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


def scan_tree(tree: ast.Module, path: str) -> Usage:
    """Return what one parsed experiment asks for; places are in the file of that name."""
    found = _Found()
    _Scan(path, found).module(tree)
    return Usage(tuple(found.uses), tuple(found.calls), found.computed, files=1)


class _Found:
    def __init__(self) -> None:
        self.uses: list[DeviceUse] = []
        self.calls: list[MethodCall] = []
        self.computed = 0


Constants = Mapping[str, str | tuple[str, ...]]
"""Variables whose value is a constant string, or a display of constant strings."""

EXPERIMENT_NAMES: Final = frozenset({"self", "cls", "env", "exp", "expt", "experiment", "parent"})
"""Receivers of `get_device` that are an experiment; other objects may have a method of that name."""


class _Scan:
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
        own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)} & GETTERS
        for statement in node.body:
            self.names_in(statement, constants, own)
        devices = dict(self.bound(node, constants))
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                device = devices.get(dotted(call.func.value))
                if device is not None:
                    self.found.calls.append(MethodCall(device, call.func.attr, self.place(call.func)))

    def names_in(
        self, root: ast.AST, constants: Constants, overridden: Collection[str] = frozenset()
    ) -> None:
        """Note the device names below a node, also those of loops over constants.

        Args:
            root: The node.
            constants: Known variables.
            overridden: Getters that the class defines itself: what they look up is not known.

        """
        constants = {**constants, **dict(loops_in(root, constants))}
        guarded = guarded_names(root, constants)
        excused = tried(root)
        for call in ast.walk(root):
            name = getter(call)
            if name is None or id(call) in excused:
                continue
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                if call.func.attr in overridden:
                    continue
            values = strings_of(name, constants)
            if values is None:
                self.found.computed += 1
            else:
                place = self.place(name)
                self.found.uses += [DeviceUse(each, place) for each in values if each not in guarded]

    def bound(self, node: ast.ClassDef, constants: Constants) -> Iterator[tuple[str, str]]:
        """Yield the attributes and variables of a class that hold one device only, and that device."""
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
    """Return the name's expression of a call of get_device or setattr_device on an experiment."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    if node.func.attr not in GETTERS or not (node.func.attr == "setattr_device" or _is_experiment(node.func)):
        return None
    if node.args and not isinstance(node.args[0], ast.Starred):
        return node.args[0]
    return next((each.value for each in node.keywords if each.arg == "key"), None)


def _is_experiment(function: ast.Attribute) -> bool:
    owner = function.value
    if isinstance(owner, ast.Call):
        return isinstance(owner.func, ast.Name) and owner.func.id == "super"
    return isinstance(owner, ast.Name) and (owner.id in EXPERIMENT_NAMES or owner.id[:1].isupper())


def guarded_names(root: ast.AST, constants: Constants) -> frozenset[str]:
    """Return the names that the code below a node looks for in the database before it asks for them."""
    found: set[str] = set()
    databases = {"device_db", "ddb"}
    for node in ast.walk(root):
        if isinstance(node, ast.Assign) and _is_database(node.value, databases):
            databases |= {dotted(target) for target in node.targets} - {""}
    for node in ast.walk(root):
        if isinstance(node, ast.Compare) and any(isinstance(each, ast.In | ast.NotIn) for each in node.ops):
            if any(_is_database(each, databases) for each in node.comparators):
                found.update(strings_of(node.left, constants) or ())
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            if _is_database(node.func.value, databases) and node.args:
                found.update(strings_of(node.args[0], constants) or ())
    return frozenset(found)


def _is_database(node: ast.expr, names: Collection[str]) -> bool:
    """Whether an expression is the device database, its keys, or a copy of it."""
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute):
            return function.attr in {"get_device_db", "get_ddb"} or (
                function.attr in {"keys", "copy"} and _is_database(function.value, names)
            )
        return any(_is_database(each, names) for each in node.args)
    return isinstance(node, ast.Name | ast.Attribute) and (
        dotted(node) in names or (isinstance(node, ast.Attribute) and node.attr in {"device_db", "ddb"})
    )


def tried(root: ast.AST) -> frozenset[int]:
    """Return the ids of the nodes below a `try` whose handlers take a missing device."""
    found: set[int] = set()
    for node in ast.walk(root):
        if isinstance(node, ast.Try) and any(_takes_key_error(each) for each in node.handlers):
            found.update(id(each) for statement in node.body for each in ast.walk(statement))
        elif isinstance(node, ast.With) and any(_is_suppress(each.context_expr) for each in node.items):
            found.update(id(each) for statement in node.body for each in ast.walk(statement))
    return frozenset(found)


def _takes_key_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {each.id for each in ast.walk(handler.type) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(handler.type) if isinstance(each, ast.Attribute)}
    return bool(names & {"KeyError", "LookupError", "Exception", "BaseException", "UnknownDeviceError"})


def _is_suppress(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "suppress"


def dotted(node: ast.expr) -> str:
    """Return `a` or `self.a` as text, "" for anything longer or computed."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def constants_of(body: list[ast.stmt]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
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
        constant = constant_of(values[0], {}) if len(values) == 1 else None
        if name and constant is not None:
            yield name, constant


def constant_of(node: ast.expr | None, constants: Constants) -> str | tuple[str, ...] | None:
    """Return the string, or the strings of a display, that an expression can only be; None: it is computed."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        parts = [strings_of(each, constants) for each in node.elts]
        return tuple(text for part in parts if part for text in part) if all(parts) else None
    if isinstance(node, ast.Name | ast.Attribute):
        return constants.get(dotted(node))
    return None


def strings_of(node: ast.expr | None, constants: Constants) -> tuple[str, ...] | None:
    """Return the strings that an expression can only be, None if it is computed."""
    constant = constant_of(node, constants)
    return (constant,) if isinstance(constant, str) else constant


def loops_in(root: ast.AST, constants: Constants) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the variables of loops and comprehensions over constant strings. A string is its characters."""
    found: dict[str, tuple[str, ...] | None] = {}
    for node in ast.walk(root):
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
            name = node.target.id
            constant = constant_of(node.iter, constants)
            values = tuple(constant) if constant is not None else None
            known = found.get(name, ())
            found[name] = None if values is None or known is None else known + values
    yield from ((name, values) for name, values in found.items() if values is not None)

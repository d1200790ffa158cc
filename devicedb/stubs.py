"""Types of the devices of a database, as a stub (.pyi) of an experiment base class, for editors.

Driver sources are parsed if found; unknown types are `Any`.
"""

import ast
import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from devicedb.drivers.servers import ALWAYS, served_class
from devicedb.drivers.sources import ClassSource, SourceFinder
from devicedb.errors import DeviceDBError
from devicedb.resolve import walk

ANY: Final = "_t.Any"

UNTYPED: Final = "  # type: ignore[import-not-found, import-untyped, unused-ignore]"
"""Drivers often have no types, and may be where only `search-path` leads."""

RESERVED: Final = frozenset(
    "build prepare run analyze get_device setattr_device get_device_db get_argument setattr_argument get_dataset "
    "set_dataset mutate_dataset append_to_dataset setattr_dataset get_dataset_metadata call_child_method "
    "register_child set_default_scheduling interactive argument_ui kernel_invariants children".split()
)
"""Attributes of every experiment; a device of that name is left out of the stub."""

SCALARS: Final = frozenset({"bool", "bytes", "complex", "float", "int", "str"})
CONTAINERS: Final = {"list": 1, "set": 1, "dict": 2, "tuple": None}
"""Containers that annotations may name, and how many types each holds."""


@dataclass(frozen=True)
class Device:
    """One name of the database: its type in the stub, and the lines that define that type."""

    name: str
    type_name: str
    lines: tuple[str, ...] = ()

    @property
    def is_attribute(self) -> bool:
        """Whether the name can be an attribute of an experiment."""
        is_free = self.name not in RESERVED and not self.name.startswith("_")
        return self.name.isidentifier() and not keyword.iskeyword(self.name) and is_free


def stub(raw: Mapping[str, Any], folder: str, finder: SourceFinder, base: str, name: str) -> str:
    """Return the text of the stub.

    Args:
        raw: The dict of the device database.
        folder: Where the database is: commands name scripts relative to it.
        finder: Where the source of drivers is looked for.
        base: Module and class that experiments derive from: "rexec.experiment.EnvExperiment".
        name: What the class of the stub is called.

    """
    module, _, parent = base.rpartition(".")
    devices = list(_devices(raw, folder, finder))
    definitions = dict.fromkeys(each.lines for each in devices if each.lines)
    lines = ["# Made by `devicedb stubs`: make it again where the device database has changed.", ""]
    lines += ["import typing as _t", "", f"from {module} import {parent} as _Parent{UNTYPED}"]
    for block in definitions:
        lines += ["", *block]
    lines += ["", "_Name: _t.TypeAlias = str"]
    if any(each.type_name.endswith("Client") for each in devices):
        lines += ["", "class _Client:"]
        lines += [f"    def {each}(self, *args: {ANY}) -> {ANY}: ..." for each in sorted(ALWAYS)]
    # Our own language can ask for a device alone (`exclusive`); without it, a subclass would be no HasEnvironment.
    more = ", *, exclusive: bool = ..." if module.partition(".")[0] == "rexec" else ""
    lines += ["", f"class {name}(_Parent):  # type: ignore[misc, unused-ignore]"]
    lines += [f"    {each.name}: {each.type_name}" for each in devices if each.is_attribute]
    if not devices:
        return "\n".join([*lines, "    ..."]) + "\n"
    for each in devices:
        key = f"_t.Literal[{each.name!r}]"
        lines += ["    @_t.overload", f"    def get_device(self, key: {key}{more}) -> {each.type_name}: ..."]
    lines += ["    @_t.overload", f"    def get_device(self, key: _Name{more}) -> {ANY}: ..."]
    literals = ", ".join(repr(each.name) for each in devices)
    lines.append(f"    def setattr_device(self, key: _t.Literal[{literals}] | _Name{more}) -> None: ...")
    return "\n".join(lines) + "\n"


def _devices(raw: Mapping[str, Any], folder: str, finder: SourceFinder) -> Iterator[Device]:
    """Every name that stands for an entry, in the order of the database."""
    made: dict[str, Device] = {}
    taken: set[str] = set()
    for name in raw:
        try:
            end = walk(raw, name, "")[-1]
        except DeviceDBError:
            continue  # it leads nowhere
        if end not in made:
            made[end] = _device(raw, end, folder, finder, taken)
        yield Device(name, made[end].type_name, made[end].lines)


def _device(raw: Mapping[str, Any], name: str, folder: str, finder: SourceFinder, taken: set[str]) -> Device:
    entry = raw[name]
    kind = entry.get("type") if isinstance(entry, dict) else None
    if kind == "local":
        module, of_class = entry.get("module"), entry.get("class")
        source = finder.source(module) if isinstance(module, str) else None
        if source is None or not isinstance(of_class, str) or finder.find_class(source, of_class) is None:
            return Device(name, ANY)
        made = _free(name, "Driver", taken)
        return Device(name, made, (f"from {module} import {of_class} as {made}{UNTYPED}",))
    found = _served(raw, entry, folder, finder) if kind in ("controller", "controller_aux_target") else None
    if found is None:
        return Device(name, ANY)
    made = _free(name, "Client", taken)
    return Device(name, made, (f"class {made}(_Client):", *_methods(found, finder)))


def _free(name: str, suffix: str, taken: set[str]) -> str:
    """Return an unused name for a type."""
    words = "".join(each if each.isascii() and each.isalnum() else " " for each in name).split()
    stem = "_" + "".join(word[:1].upper() + word[1:] for word in words)
    made, number = stem + suffix, 1
    while made in taken:
        number += 1
        made = f"{stem}{number}{suffix}"
    taken.add(made)
    return made


def _served(
    raw: Mapping[str, Any], entry: Mapping[str, Any], folder: str, finder: SourceFinder
) -> ClassSource | None:
    """The class that a controller serves, or that its auxiliary target is."""
    controller: Any = entry
    if entry["type"] == "controller_aux_target":
        try:
            controller = raw[walk(raw, entry["controller"], "")[-1]]
        except (DeviceDBError, KeyError, TypeError):
            return None
    command = controller.get("command") if isinstance(controller, dict) else None
    target = entry.get("target_name")
    if not isinstance(command, str) or not isinstance(target, str | None):
        return None
    return served_class(command, target, folder, finder)


def _methods(found: ClassSource, finder: SourceFinder) -> list[str]:
    """The methods of a driver, as the lines of a class."""
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    is_open = False
    for each in finder.lineage(found):
        if each is None:
            is_open = True  # a base whose source is not there: it may have more
            continue
        for node in each.node.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_open = is_open or node.name in {"__getattr__", "__getattribute__"}
            if not node.name.startswith("_") and "property" not in _decorators(node):
                methods.setdefault(node.name, node)
    are_builtins_free = not any(name in SCALARS or name in CONTAINERS for name in methods)
    lines = []
    for name, node in methods.items():
        result = _type(node.returns) if are_builtins_free else ANY
        lines.append(f"    def {name}({_parameters(node, are_builtins_free)}) -> {result}: ...")
    if is_open:
        lines.append(f"    def __getattr__(self, name: {ANY}) -> {ANY}: ...")
    return lines or ["    ..."]


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return " ".join(ast.unparse(each) for each in node.decorator_list)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, keeps_types: bool) -> str:
    """Parameters of a method as a client calls it, with `self`."""
    written = node.args

    def parameter(each: ast.arg) -> ast.arg:
        return ast.arg(each.arg, ast.parse(_type(each.annotation) if keeps_types else ANY).body[0].value)  # type: ignore[attr-defined]

    plain = [parameter(each) for each in written.args]
    positional = [parameter(each) for each in written.posonlyargs]
    if "staticmethod" not in _decorators(node):
        del (positional or plain)[:1]
    (positional if positional else plain).insert(0, ast.arg("self"))
    dots = ast.Constant(...)
    made = ast.arguments(
        posonlyargs=positional,
        args=plain,
        vararg=parameter(written.vararg) if written.vararg else None,
        kwonlyargs=[parameter(each) for each in written.kwonlyargs],
        kw_defaults=[None if each is None else dots for each in written.kw_defaults],
        kwarg=parameter(written.kwarg) if written.kwarg else None,
        defaults=[dots for _ in written.defaults],
    )
    return ast.unparse(made)


def _type(annotation: ast.expr | None) -> str:
    """Return an annotation that is valid in the stub, else Any."""
    return ast.unparse(annotation) if annotation is not None and _is_plain(annotation) else ANY


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in SCALARS
    if isinstance(node, ast.Constant):
        return node.value is None
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr) and _is_plain(node.left) and _is_plain(node.right)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in CONTAINERS:
        held = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return CONTAINERS[node.value.id] in (len(held), None) and all(map(_is_plain, held))
    return False

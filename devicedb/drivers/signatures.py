"""Constructor arguments of the driver of a local device."""

import ast
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from devicedb.drivers.catalogue import NEWEST, RELEASES, catalogue
from devicedb.drivers.sources import ClassSource, SourceFinder
from devicedb.suggest import is_one_edit, nearest

MANAGER_NAMES: Final = ("dmgr", "device_mgr")
"""What ARTIQ's drivers call their first parameter, which the device manager fills."""


ARTIQ: Final = "artiq.coredevice."


@dataclass(frozen=True)
class Signature:
    """Names that `arguments` must and may hold."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    is_open: bool = False
    """Whether it takes `**kwargs`."""
    managers: tuple[str, ...] = ()
    """Names of the first parameter, which the device manager fills: given again they are there twice."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that may be given."""
        return self.required + self.optional


@dataclass(frozen=True)
class Lookup:
    """What is known of a driver."""

    signature: Signature | None = None
    """None: its arguments are not known."""
    releases: tuple[str, ...] = ()
    """Releases of ARTIQ that have it, if the chosen one does not."""
    missing: str = ""
    """"module" or "class" if that one certainly does not exist."""
    near: str | None = None
    """The most likely intended name."""


@dataclass
class Drivers:
    """Looks drivers up: ARTIQ's own in the catalogue, others on a search path."""

    release: str = NEWEST
    is_certain: bool = False
    """Whether the release is named or installed, not assumed."""
    is_installed: bool = False
    finder: SourceFinder = field(default_factory=SourceFinder)
    known: dict[tuple[str, str], Lookup] = field(default_factory=dict)

    def lookup(self, module: str, name: str) -> Lookup:
        """Return what is known of a class in a module; each is looked up once."""
        key = (module, name)
        if key not in self.known:
            self.known[key] = self._lookup(module, name)
        return self.known[key]

    def _lookup(self, module: str, name: str) -> Lookup:
        classes = catalogue().get(module)
        if classes is None:
            return self._in_source(module, name)
        forms = classes.get(name)
        if forms is None:
            return Lookup(missing="class", near=slip(name, classes))
        for form in forms:
            if self.release in form.releases:
                return Lookup(Signature(form.required, form.optional, form.is_open, MANAGER_NAMES))
        return Lookup(releases=tuple(sorted({release for form in forms for release in form.releases})))

    def taking(self, module: str, name: str, argument: str) -> tuple[str, ...]:
        """Return the releases of ARTIQ in which a driver takes an argument."""
        forms = catalogue().get(module, {}).get(name, ())
        return tuple(
            each for form in forms for each in form.releases if argument in form.required + form.optional
        )

    def _in_source(self, module: str, name: str) -> Lookup:
        source = self.finder.source(module)
        if source is None:
            if not module.startswith(ARTIQ):
                return Lookup()
            near = slip(module.removeprefix(ARTIQ), [each.removeprefix(ARTIQ) for each in catalogue()])
            return Lookup(missing="module", near=ARTIQ + near if near else None)
        found = self.finder.find_class(source, name)
        if found is not None:
            return Lookup(self.of_class(found))
        if not _is_closed(source.tree, name):
            return Lookup()
        classes = [node.name for node in source.tree.body if isinstance(node, ast.ClassDef)]
        return Lookup(missing="class", near=nearest(name, classes))

    def device_arguments(self, module: str, name: str) -> frozenset[str] | None:
        """Return the arguments that a laboratory's driver passes to the device manager; None: no source found."""
        source = self.finder.source(module)
        found = self.finder.find_class(source, name) if source is not None else None
        if found is None:
            return None
        used: set[str] = set()
        for each in self.finder.lineage(found):
            if each is None:
                continue
            for node in each.node.body:
                if isinstance(node, ast.FunctionDef) and node.name in {"__init__", "build"}:
                    used |= _passed_to_manager(node)
        return frozenset(used)

    def of_class(self, found: ClassSource) -> Signature | None:
        """Return the constructor's signature, None if its source is not found."""
        for each in self.finder.lineage(found):
            if each is None or any("dataclass" in ast.dump(deco) for deco in each.node.decorator_list):
                return None
            for statement in each.node.body:
                if isinstance(statement, ast.FunctionDef) and statement.name in {"__init__", "__new__"}:
                    return None if statement.name == "__new__" else signature_of(statement.args)
        return None


def slip(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is one slip away.

    Names that differ in a number only are drivers of different chips or releases, not slips.
    """
    letters = re.sub(r"\d", "", name)
    return next(
        (each for each in known if is_one_edit(name, each) and re.sub(r"\d", "", each) != letters), None
    )


def signature_of(arguments: ast.arguments) -> Signature | None:
    """Return what a constructor takes by name after itself and the device manager."""
    positional = [*arguments.posonlyargs, *arguments.args]
    if len(positional) < 2:
        return None  # the manager is passed in *args, or the class is not a driver
    plain = positional[1:]
    first_default = len(plain) - min(len(arguments.defaults), len(plain))
    names = [each.arg for each in plain]
    required = [name for index, name in enumerate(names) if 0 < index < first_default]
    optional = [name for index, name in enumerate(names) if index and index >= first_default]
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(each.arg)
    return Signature(tuple(required), tuple(optional), arguments.kwarg is not None, (names[0],))


def _is_closed(tree: ast.Module, name: str) -> bool:
    """Whether a module certainly has no such name: no star import, and no definition."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import) and any(
            each.name == "*" or (each.asname or each.name) == name for each in node.names
        ):
            return False
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
            return False
        if isinstance(node, ast.FunctionDef) and node.name in {name, "__getattr__"}:
            return False
    return True


@cache
def installed_release(path: tuple[str, ...] | None = None) -> str | None:
    """Return the release of the installed ARTIQ, None if there is none or an unknown one."""
    folders: Sequence[str] = sys.path if path is None else path
    for folder in folders:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for each in names:
            found = re.match(r"artiq-(\d+)\.", each)
            if found and found[1] in RELEASES:
                return found[1]
    return None


def _passed_to_manager(constructor: ast.FunctionDef) -> set[str]:
    """Names that a constructor passes to `get`, `get_device` or `get_desc`, also in loops over them."""
    used: set[str] = set()
    loops = {
        each.target.id: each.iter.id
        for each in ast.walk(constructor)
        if isinstance(each, ast.For | ast.comprehension)
        and isinstance(each.target, ast.Name)
        and isinstance(each.iter, ast.Name)
    }
    for call in ast.walk(constructor):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        if call.func.attr in {"get", "get_device", "get_desc"} and len(call.args) == 1:
            argument = call.args[0]
            if isinstance(argument, ast.Name):
                used.add(loops.get(argument.id, argument.id))
    return used

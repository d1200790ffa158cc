"""Constructor arguments of the driver of a local device."""

import ast
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from devicedb.catalogue import NEWEST, RELEASES, catalogue
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
    """Whether any further name is taken."""
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
    """None: nothing is known of its arguments."""
    releases: tuple[str, ...] = ()
    """Releases of ARTIQ that have it, where the asked one does not."""
    missing: str = ""
    """"module" or "class", where a module or a class of that name is known not to be there."""
    near: str | None = None
    """What was meant, most likely."""


@dataclass
class Drivers:
    """Looks drivers up: ARTIQ's own in the catalogue, others on a search path."""

    release: str = NEWEST
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

    def of_class(self, found: ClassSource) -> Signature | None:
        """The constructor's signature, None where it is not in sight."""
        for each in self.finder.lineage(found):
            if each is None or any("dataclass" in ast.dump(deco) for deco in each.node.decorator_list):
                return None
            for statement in each.node.body:
                if isinstance(statement, ast.FunctionDef) and statement.name in {"__init__", "__new__"}:
                    return None if statement.name == "__new__" else signature_of(statement.args)
        return None


def slip(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that another is one slip of.

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
        return None  # the manager goes into *args, or the class is no driver
    plain = positional[1:]
    first_default = len(plain) - min(len(arguments.defaults), len(plain))
    names = [each.arg for each in plain]
    required = [name for index, name in enumerate(names) if 0 < index < first_default]
    optional = [name for index, name in enumerate(names) if index and index >= first_default]
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(each.arg)
    return Signature(tuple(required), tuple(optional), arguments.kwarg is not None, (names[0],))


def _is_closed(tree: ast.Module, name: str) -> bool:
    """Whether a module surely has no such name: it imports nothing by star and defines it nowhere."""
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
def installed_release(path: tuple[str, ...] | None = None) -> str:
    """Return the release of the installed ARTIQ, the newest known one where there is none."""
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
    return NEWEST

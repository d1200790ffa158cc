"""Finds the source of a module on a search path and reads its classes, without importing anything."""

import ast
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_SOURCE: Final = 2_000_000
"""Bytes of the largest source file that is read."""

MAX_DEPTH: Final = 8
"""How many imports or base classes are followed."""


@dataclass(frozen=True)
class ParsedSource:
    """One parsed source file."""

    module: str
    path: str
    tree: ast.Module
    is_package: bool = False


@dataclass(frozen=True)
class ClassSource:
    """A class, and the file that it is in."""

    node: ast.ClassDef
    source: ParsedSource


@dataclass
class SourceFinder:
    """Reads modules from the folders of a search path; each file is read once."""

    folders: tuple[str, ...] = ()
    known: dict[str, ParsedSource | None] = field(default_factory=dict)

    def source(self, module: str) -> ParsedSource | None:
        """Return the source of a module, None where it is not on the path or cannot be parsed."""
        if module not in self.known:
            self.known[module] = self._find(module)
        return self.known[module]

    def _find(self, module: str) -> ParsedSource | None:
        steps = module.split(".")
        if not all(step.isidentifier() for step in steps):
            return None
        for folder in self.folders:
            base = os.path.join(folder, *steps)
            for path, is_package in ((base + ".py", False), (os.path.join(base, "__init__.py"), True)):
                if os.path.isfile(path):
                    return read(Path(path), module, is_package=is_package)
        return None

    def find_class(self, source: ParsedSource, name: str, depth: int = 0) -> ClassSource | None:
        """Return a class that a module defines or imports from another module on the path."""
        if depth > MAX_DEPTH:
            return None
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ClassSource(node, source)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    if name in (each.asname or each.name, "*") or each.name == "*":
                        origin = self.source(absolute(node, source))
                        wanted = name if each.name == "*" else each.name
                        found = self.find_class(origin, wanted, depth + 1) if origin is not None else None
                        if found is not None:
                            return found
        return None

    def lineage(self, found: ClassSource, depth: int = 0) -> Iterator[ClassSource | None]:
        """Yield a class and its bases, nearest first; None stands for a base whose source is not there."""
        yield found
        for base in found.node.bases:
            name = base.id if isinstance(base, ast.Name) else None
            if name == "object":
                continue
            parent = self.find_class(found.source, name, depth) if name and depth < MAX_DEPTH else None
            if parent is None or parent.node is found.node:
                yield None
            else:
                yield from self.lineage(parent, depth + 1)


def read(path: Path, module: str, *, is_package: bool = False) -> ParsedSource | None:
    """Return a parsed source file, None where it is not there, too large or no Python."""
    try:
        if path.stat().st_size > MAX_SOURCE:
            return None
        return ParsedSource(module, str(path), ast.parse(path.read_bytes()), is_package)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def absolute(node: ast.ImportFrom, source: ParsedSource) -> str:
    """Return the full name of the module that a `from ... import` names."""
    if not node.level:
        return node.module or ""
    steps = source.module.split(".")
    kept = steps[: len(steps) - node.level + (1 if source.is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def python_files(folder: Path) -> Iterable[Path]:
    """Yield the Python files below a folder, without hidden folders, environments and caches."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name != "__pycache__"
            and not os.path.exists(os.path.join(where, name, "pyvenv.cfg"))  # False if unreadable
        )
        yield from (Path(where, name) for name in sorted(files) if name.endswith(".py"))

"""Finds the locks of our packages in their source, and imports a module without one of them."""

import ast
import contextlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("schemas", "devicedb", "rexec")
_NO_LOCK: Final = '__import__("tests.threads.without").threads.without.NoLock()'
_MAKERS: Final = {
    "threading.Lock",
    "threading.RLock",
    "threading.Condition",
    "asyncio.Lock",
    "CallLock",
    "TaskLock",
}


@dataclass(frozen=True)
class Mutant:
    """A module without a lock, or with one of its critical sections open.

    Attributes:
        file: The module, from the root of the repository.
        lock: Class and attribute of the lock.
        line: Line of the critical section; 0: all of them.

    """

    file: str
    lock: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file} {self.lock}" + (f" line {self.line}" if self.line else "")

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.file.removesuffix(".py").replace("/", ".")

    def source_tree(self) -> ast.Module:
        """Return the source of the module, changed."""
        found = _Locks(ast.parse((ROOT / self.file).read_text("utf-8")))
        for lock, node, put in found.uses if self.line else found.made:
            if lock == self.lock and self.line in (0, node.lineno):
                put(ast.copy_location(ast.parse(_NO_LOCK, mode="eval").body, node))
        return ast.fix_missing_locations(found.tree)


class _Locks:
    """Where a module makes locks and takes them; each with its name, its node, and how to replace that."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.made: list[tuple[str, ast.expr, Callable[[ast.expr], None]]] = []
        self.uses: list[tuple[str, ast.expr, Callable[[ast.expr], None]]] = []
        self._look(tree, "", self._make)
        self._names = {lock for lock, _, _ in self.made}
        self._look(tree, "", self._use)

    def _look(self, node: ast.AST, owner: str, do: Callable[[ast.AST, str], None]) -> None:
        do(node, owner)
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.ClassDef | ast.FunctionDef) and not owner else owner
            self._look(child, inner, do)

    def _make(self, node: ast.AST, owner: str) -> None:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            return
        targets = node.targets[0] if isinstance(node, ast.Assign) else node.target
        pairs: list[tuple[ast.expr, ast.expr, Callable[[ast.expr], None]]] = []
        if isinstance(targets, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for index, (target, value) in enumerate(zip(targets.elts, node.value.elts, strict=True)):
                pairs.append((target, value, _setter(node.value.elts, index)))
        elif isinstance(node.value, ast.IfExp):
            pairs.append((targets, node.value.orelse, lambda new, at=node.value: setattr(at, "orelse", new)))  # type: ignore[misc]
        else:
            pairs.append((targets, node.value, lambda new: setattr(node, "value", new)))
        for target, value, put in pairs:
            if isinstance(value, ast.Call) and ast.unparse(value.func) in _MAKERS:
                self.made.append((_name(target, owner), value, put))

    def _use(self, node: ast.AST, owner: str) -> None:
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                text = ast.unparse(item.context_expr)  # of a module, if not of this class or function
                name = next(
                    (each for each in (_name(item.context_expr, owner), text) if each in self._names), ""
                )
                if name:
                    self.uses.append(
                        (name, item.context_expr, lambda new, at=item: setattr(at, "context_expr", new))  # type: ignore[misc]
                    )


def _setter(elements: list[ast.expr], index: int) -> Callable[[ast.expr], None]:
    return lambda new: elements.__setitem__(index, new)


def _name(target: ast.expr, owner: str) -> str:
    text = ast.unparse(target).replace("self.", "")
    return f"{owner}.{text}" if owner else text


def mutants(*, each_use: bool = False) -> Iterator[Mutant]:
    """Yield a mutant for each lock of our packages, or for each critical section."""
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
            if not any(maker in text for maker in _MAKERS):
                continue
            found = _Locks(ast.parse(text))
            if each_use:
                yield from (Mutant(file, lock, node.lineno) for lock, node, _ in found.uses)
            else:
                yield from (Mutant(file, lock) for lock in dict.fromkeys(lock for lock, _, _ in found.made))


class NoLock:
    """Lets everybody in, in place of any lock; a condition can still be waited for."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._is_lent = False

    def acquire(self, *_: object) -> bool:
        return True

    def release(self) -> None: ...

    def locked(self) -> bool:
        return False

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...

    def wait(self, timeout: float | None = None) -> bool:
        with self._news:
            return self._news.wait(timeout)

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        with self._news:
            return self._news.wait_for(predicate, timeout)

    def notify(self, n: int = 1) -> None:
        with self._news:
            self._news.notify(n)

    def notify_all(self) -> None:
        with self._news:
            self._news.notify_all()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        self._is_lent = True
        try:
            yield
        finally:
            self._is_lent = False

    def is_lent(self) -> bool:
        return self._is_lent

    def refuse_reentry(self) -> None: ...


class _Loader(SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutant.source_tree(), self.path, "exec")


class MutantImporter:
    """Imports a mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        assert mutant.module not in sys.modules, f"{mutant.module} was imported before it could be changed"
        self._mutant = mutant
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self._mutant.module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.origin is not None
        loader = _Loader(name, spec.origin)
        loader.mutant = self._mutant
        return importlib.util.spec_from_file_location(name, spec.origin, loader=loader)

"""Source text of functions, classes and modules: where it is, which names it uses, what is the user's own."""

import ast
import functools
import importlib.metadata
import inspect
import json
import linecache
import symtable
import sys
import textwrap
import types
from typing import Any

from rexec.remote._errors import CannotTravel

_OURS = frozenset({"rexec", "devicedb", "schemas"})


def source_of(thing: Any) -> tuple[str, int, str]:
    """Return source text (dedented), first line and file of a function or class.

    Raises:
        CannotTravel: There is none.

    """
    if isinstance(thing, type) and (found := _class_source(thing)) is not None:
        return found
    try:
        file = inspect.getfile(thing)
        lines, first = inspect.getsourcelines(thing)
    except (OSError, TypeError) as error:
        raise CannotTravel(
            f"{thing.__qualname__}: its source cannot be found ({error}): define it in a file or a notebook"
        ) from None
    if thing.__name__ == "<lambda>":
        raise CannotTravel(f"{file}:{first}: a lambda cannot travel: write a def")
    text = textwrap.dedent("".join(lines))
    if isinstance(thing, types.FunctionType) and not _is_def(text, thing.__name__):
        raise CannotTravel(
            f"{file}:{first}: {thing.__qualname__} is not there: the file was edited after it was imported. "
            "Import it again"
        )
    if (
        isinstance(thing, types.FunctionType)
        and "<locals>" not in thing.__qualname__
        and "." in thing.__qualname__
    ):
        raise CannotTravel(
            f"{file}:{first}: {thing.__qualname__} is a method: write a function outside the class"
        )
    return text, first, file


def _is_def(text: str, name: str) -> bool:
    """Return whether a text begins with the definition of a function."""
    first = next(iter(_parsed(text).body), None)
    return isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef) and first.name == name


def _class_source(thing: type) -> tuple[str, int, str] | None:
    """Return source text, first line and file of a class of a module, or of a notebook, which has cells and no file."""
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    # IPython keeps its cells in linecache, as what has no time of modification. Other threads add to it meanwhile.
    kept = list(linecache.cache.items())
    cells = [name for name, entry in kept if len(entry) == 4 and entry[1] is None]
    for each in [file] if file else reversed(cells):
        lines = _lines({"__file__": each})
        for statement in reversed(_parsed("".join(lines)).body):
            if isinstance(statement, ast.ClassDef) and statement.name == thing.__qualname__:
                first = min([statement.lineno, *(each.lineno for each in statement.decorator_list)])
                return "".join(lines[first - 1 : statement.end_lineno]), first, each
    return None


def assignment_of(name: str, scope: dict[str, Any]) -> tuple[str, int] | None:
    """Return source and line of the last statement of a module that gives a name its value, None without one."""
    lines = _lines(scope)
    for statement in reversed(_parsed("".join(lines)).body):
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return "".join(lines[statement.lineno - 1 : statement.end_lineno]), statement.lineno
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return None
    return None


def without_own_decorators(text: str, scope: dict[str, Any]) -> str:
    """Return source whose decorators of ours are blanked: they are for this side only."""
    definition = _parse(text).body[0]
    lines = text.splitlines(keepends=True)
    for decorator in getattr(definition, "decorator_list", []):
        names = ast.unparse(decorator).split("(")[0].split(".")
        value = scope.get(names[0])
        for name in names[1:]:
            value = getattr(value, name, None)
        if getattr(value, "rexec_decorator", False):
            for number in range(decorator.lineno - 1, decorator.end_lineno or decorator.lineno):
                lines[number] = "\n"
    return "".join(lines)


@functools.lru_cache(maxsize=256)
def names_used(text: str, first: int) -> tuple[dict[str, int], set[str]]:
    """Return the global names that a definition uses, with the line of the first use, and those that it assigns.

    Annotations do not count.
    """
    tree = _WithoutAnnotations().visit(_parse(text))
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            lines[node.id] = min(lines.get(node.id, sys.maxsize), first + node.lineno - 1)
    found: set[str] = set()
    made: set[str] = set()
    table = symtable.symtable(ast.unparse(ast.fix_missing_locations(tree)), "source", "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    tables = [table]
    while tables:
        each = tables.pop()
        tables += each.get_children()
        for symbol in each.get_symbols():
            outermost = each is table and symbol.is_referenced() and not symbol.is_assigned()
            if symbol.is_declared_global() and symbol.is_assigned():
                made.add(symbol.get_name())
            if symbol.is_referenced() and (outermost or (each is not table and symbol.is_global())):
                found.add(symbol.get_name())
    order = sorted(found - defined, key=lambda name: (lines.get(name, first), name))
    return {name: lines.get(name, first) for name in order}, made


class _WithoutAnnotations(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def imported_from(scope: dict[str, Any], name: str, value: Any) -> tuple[str, str] | None:
    """Return module and attribute from which a name can be imported on the controller too."""
    module = getattr(value, "__module__", None)
    attribute = getattr(value, "__qualname__", getattr(value, "__name__", None))
    if isinstance(module, str) and isinstance(attribute, str):
        found = sys.modules.get(module)
        if found is not None and not is_local(found) and getattr(found, attribute, None) is value:
            return module, attribute
    statement = _imports("".join(_lines(scope))).get(name)
    found = None if statement is None else sys.modules.get(statement[0])
    return None if found is None or is_local(found) else statement


def _lines(scope: dict[str, Any]) -> list[str]:
    """Return the lines of a module's file as it is now."""
    file = scope.get("__file__") or ""
    linecache.checkcache(file)
    return linecache.getlines(file)


@functools.lru_cache(maxsize=64)
def _imports(text: str) -> dict[str, tuple[str, str]]:
    """Return module and attribute of each name that `from … import` gives to a module, in functions too."""
    return {
        alias.asname or alias.name: (statement.module, alias.name)
        for statement in ast.walk(_parsed(text))
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level
        for alias in statement.names
    }


def _parse(text: str) -> ast.Module:
    """Return a tree, also where a finalizer, a signal handler or another thread parses meanwhile.

    Up to Python 3.12, CPython counts the depth of all trees under construction in one number, and the parse that finds
    it changed raises SystemError (python/cpython#106905).
    """
    for _ in range(100):
        try:
            return ast.parse(text)
        except SystemError as error:
            disturbed = error
    raise disturbed


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    try:
        return _parse(text)
    except SyntaxError:
        return ast.Module([], [])  # edited since it was imported; its imports are found by value only


@functools.cache
def _installed_elsewhere() -> frozenset[str]:
    """Return the top-level modules of packages that are installed from a folder of their own, not in site-packages.

    Others need not be looked up: where their files are says it. (`packages_distributions` reads every list of files.)
    """
    found: set[str] = set()
    for package in importlib.metadata.distributions():
        origin = json.loads(package.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable") or not _installed(str(package.locate_file(""))):
            found |= set((package.read_text("top_level.txt") or "").split())
    return frozenset(found)


def _installed(file: str) -> bool:
    return "site-packages" in file or "dist-packages" in file


def is_local(module: types.ModuleType) -> bool:
    """Return whether a module is a file of the user's own, which a controller cannot be expected to have."""
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return False
    file = getattr(module, "__file__", None)
    if top == "__main__":
        return True
    if top in _OURS:  # an editable installation is on no list of what is installed
        return False
    if not file or _installed(file) or hasattr(module, "__path__"):
        return False
    return top not in _installed_elsewhere()

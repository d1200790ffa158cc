"""What a function needs to run elsewhere, found in its source: definitions, imports and values, or a refusal."""

import ast
import builtins
import functools
import importlib.metadata
import inspect
import linecache
import logging
import re
import symtable
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rexec.remote._errors import CannotTravel
from rexec.remote._provided import Placeholder
from rexec.remote._shipment import Bundle, Shipment, digest
from rexec.wire import pyon

_BUILTIN = frozenset(vars(builtins)) | {"__name__", "__file__"}
_DEFINED = types.FunctionType | type | TypeVar | ParamSpec
_OURS = frozenset({"rexec", "devicedb", "schemas"})


def analyse(function: Callable[..., Any]) -> Shipment:
    """Return what must be sent so that a function runs on a controller.

    Args:
        function: A function defined with `def` in a file.

    Raises:
        CannotTravel: It, or something it uses, cannot be sent; names it and its line.

    """
    found = _unwrapped(function)
    if not isinstance(found, types.FunctionType):
        raise CannotTravel(_no_function(function))
    module = sys.modules.get(found.__module__)
    if module is not None and not is_local(module):
        raise CannotTravel(
            f"{found.__module__}.{found.__qualname__} is of an installed package: call it in a def of your own"
        )
    collector = _Collector()
    key = collector.add(found)
    return Shipment(found.__name__, key, collector.bundles(), collector.modules, collector.wanted)


def _unwrapped(value: Any) -> Any:
    """Return what a decorator such as `functools.wraps` or `functools.cache` was put around: its source has those."""
    value = getattr(value, "rexec_function", value)
    found = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return found if isinstance(found, types.FunctionType) else value


def _no_function(thing: Any) -> str:
    if isinstance(thing, types.MethodType) and isinstance(thing.__func__, types.FunctionType):
        code = thing.__func__.__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        return f"{where}: {thing.__func__.__qualname__} is a method: write a function outside the class"
    if isinstance(thing, type):
        return f"{thing.__qualname__} is a class: wrap what it is to do in a def"
    if isinstance(thing, functools.partial):
        return f"a partial of {thing.func!r}: give the function itself, and its arguments when you call it"
    return f"{thing!r} is no function written in Python: wrap it in a def"


class _Collector:
    def __init__(self) -> None:
        self._bundles: dict[str, Bundle] = {}
        self._order: list[str] = []
        self._seen: set[tuple[str, str]] = set()
        self.modules: list[types.ModuleType] = []
        self.wanted: dict[str, str] = {}

    def bundles(self) -> list[Bundle]:
        return [self._bundles[key] for key in self._order]

    def add(self, thing: Any) -> str:
        """Add a function or class with all it uses; return the key of its module."""
        text, line, file = source_of(thing)
        closure: dict[str, Any] = {}
        if isinstance(thing, types.FunctionType):
            closure = dict(inspect.getclosurevars(thing).nonlocals)
            scope = thing.__globals__
        else:
            scope = vars(sys.modules[thing.__module__])
        module = str(scope.get("__name__", "__main__"))
        key = module
        if "<locals>" in thing.__qualname__:
            # Of the same text there may be many, each with other values.
            told = f"{text}{[(name, _told(value)) for name, value in sorted(closure.items())]}"
            key = f"{module}#{digest(told)[:12]}"
        bundle = self._bundles.setdefault(key, Bundle(key, module, file))
        if (key, thing.__name__) in self._seen:
            return key
        self._seen.add((key, thing.__name__))
        text = without_own_decorators(text, scope)
        used, made = names_used(text, line)
        for name, at in used.items():
            where = f"{file}:{at}"
            if name in closure:
                self._value(bundle, name, closure[name], scope, where)
            elif name in scope:
                self._value(bundle, name, scope[name], scope, where)
            elif name not in _BUILTIN and name != thing.__name__ and name not in made:
                bundle.provided[name] = name
                self.wanted[name] = where
        bundle.pieces.append((thing.__name__, line, text))
        # After whatever it binds names of.
        self._order = [*(each for each in self._order if each != key), key]
        return key

    def _value(self, bundle: Bundle, name: str, value: Any, scope: dict[str, Any], where: str) -> None:
        """Add something that a name stands for."""
        if (bundle.key, name) in self._seen:
            return
        unwrapped = value if isinstance(value, Placeholder) else _unwrapped(value)
        if isinstance(value, Placeholder):
            bundle.provided[name] = value.rexec_name
            if value.rexec_name != "job":
                self.wanted[value.rexec_name] = where
        elif isinstance(value, types.ModuleType):
            self._seen.add((bundle.key, name))
            if is_local(value):
                self.modules.append(value)
            bundle.imports.append((name, value.__name__, None))
        elif isinstance(unwrapped, _DEFINED) and self._definition(bundle, name, value, scope, where):
            return
        elif isinstance(value, logging.Logger):
            self._seen.add((bundle.key, name))
            bundle.pieces.append((name, 1, f"import logging; {name} = logging.getLogger(__name__)"))
        elif isinstance(value, re.Pattern):
            self._seen.add((bundle.key, name))
            text = f"import re; {name} = re.compile({value.pattern!r}, {value.flags})"
            bundle.pieces.append((name, 1, text))
        elif (found := imported_from(scope, name, value)) is not None:
            bundle.imports.append((name, *found))
        else:
            try:
                pyon.encode(value)
            except (TypeError, ValueError) as error:
                kind = type(value).__qualname__
                raise CannotTravel(
                    f"{where}: {name} is of type {kind} and cannot travel to the controller ({error}). Make it "
                    "inside the function, or give the function plain values as arguments"
                ) from None
            bundle.values[name] = value

    def _definition(self, bundle: Bundle, name: str, value: Any, scope: dict[str, Any], where: str) -> bool:
        """Add a function or class; return False where it is better imported."""
        thing = _unwrapped(value)
        module = sys.modules.get(thing.__module__)
        if module is None or not is_local(module):
            return False
        statement = assignment_of(name, scope) if bundle.module == scope.get("__name__") else None
        has_def = isinstance(thing, types.FunctionType) and thing.__name__ != "<lambda>"
        # A namedtuple, a lambda, a type variable; or a function that was decorated after its definition.
        assigned = statement is not None and (not has_def or value is not thing)
        try:
            if has_def or not assigned:
                key = self.add(thing)
                if not assigned and (key != bundle.key or name != thing.__name__):
                    bundle.binds.append((name, key, thing.__name__))
            if statement is not None and assigned:
                self._assignment(bundle, name, statement, scope)
        except CannotTravel as error:
            raise CannotTravel(f"{where}: {name}: {error}") from None
        return True

    def _assignment(
        self, bundle: Bundle, name: str, statement: tuple[str, int], scope: dict[str, Any]
    ) -> None:
        """Add a module's statement `name = …`, and what it uses."""
        self._seen.add((bundle.key, name))
        text, line = statement
        for used, at in names_used(text, line)[0].items():
            if used in scope and used not in _BUILTIN and used != name:
                self._value(bundle, used, scope[used], scope, f"{bundle.file}:{at}")
        bundle.pieces.append((f"{name} =", line, text))
        self._order = [*(each for each in self._order if each != bundle.key), bundle.key]


def assignment_of(name: str, scope: dict[str, Any]) -> tuple[str, int] | None:
    """Return source and line of the last statement of a module that gives a name its value, None without one."""
    file = scope.get("__file__") or ""
    for statement in reversed(getattr(_parsed(file), "body", [])):
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            lines = linecache.getlines(file)[statement.lineno - 1 : statement.end_lineno]
            return "".join(lines), statement.lineno
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return None
    return None


def _told(value: Any) -> str:
    """Return what tells a closed-over value from others."""
    try:
        return digest(value)
    except (TypeError, ValueError):
        return repr(value)


def source_of(thing: Any) -> tuple[str, int, str]:
    """Return source text (dedented), first line and file of a function or class.

    Raises:
        CannotTravel: There is none.

    """
    try:
        file = inspect.getsourcefile(thing) or inspect.getfile(thing)
        linecache.checkcache(file)
        lines, first = inspect.getsourcelines(thing)
    except (OSError, TypeError) as error:
        raise CannotTravel(
            f"{thing.__qualname__}: its source cannot be found ({error}): define it in a file or a notebook"
        ) from None
    if thing.__name__ == "<lambda>":
        raise CannotTravel(f"{file}:{first}: a lambda cannot travel: write a def")
    text = textwrap.dedent("".join(lines))
    if isinstance(thing, types.FunctionType) and not re.search(
        rf"\bdef\s+{re.escape(thing.__name__)}\b", text
    ):
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


def without_own_decorators(text: str, scope: dict[str, Any]) -> str:
    """Return source whose decorators of ours are blanked: they are for this side only."""
    definition = ast.parse(text).body[0]
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


def names_used(text: str, first: int) -> tuple[dict[str, int], set[str]]:
    """Return the global names that a definition uses, with the line of the first use, and those that it assigns.

    Annotations do not count.
    """
    tree = _WithoutAnnotations().visit(ast.parse(text))
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
    order = sorted(found - defined, key=lambda n: lines.get(n, first))
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
    for statement in ast.walk(_parsed(scope.get("__file__") or "")):
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                found = sys.modules.get(statement.module)
                if (alias.asname or alias.name) == name and found is not None and not is_local(found):
                    return statement.module, alias.name
    return None


@functools.lru_cache(maxsize=64)
def _parsed(file: str) -> ast.AST:
    lines = linecache.getlines(file)
    try:
        return ast.parse("".join(lines))
    except SyntaxError:
        return ast.Module([], [])  # edited since it was imported; its imports are found by value only


@functools.lru_cache(maxsize=256)
def _distributed(top: str) -> bool:
    return top in importlib.metadata.packages_distributions()


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
    if not file or "site-packages" in file or "dist-packages" in file or hasattr(module, "__path__"):
        return False
    return not _distributed(top)

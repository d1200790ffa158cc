"""The methods that a controller's driver offers, read from the source of the program that its command starts."""

import ast
import os
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from devicedb.drivers.sources import ClassSource, ParsedSource, SourceFinder, read

REXEC_LOOP: Final = "simple_rexec_server_loop"
"""Serves remote execution beside the driver, as NAME_rexec."""

LOOPS: Final = frozenset({"simple_server_loop", REXEC_LOOP, "Server"})

ALWAYS: Final = frozenset(
    {
        "close_rpc",
        "get_rpc_id",
        "select_rpc_target",
        "get_selected_target",
        "get_local_host",
        "get_rpc_method_list",
    }
)
"""What every client has itself."""


def methods_of(
    command: str, target_name: str | None, folder: str, finder: SourceFinder
) -> tuple[frozenset[str], str] | None:
    """Return the methods of the target that a command serves and the file of its class.

    None if the source is not found, or the target is computed.

    Args:
        command: The controller's command, as written.
        target_name: The target, None for the only one.
        folder: Where the device database is: commands name scripts relative to it.
        finder: Where modules are looked for.

    """
    found = served_class(command, target_name, folder, finder)
    return None if found is None else _methods(found, finder)


def served_class(
    command: str, target_name: str | None, folder: str, finder: SourceFinder
) -> ClassSource | None:
    """Return the class of the target that a command serves; parameters as for `methods_of`."""
    source = program_source(command, folder, finder)
    name = target_class(source.tree, target_name) if source is not None else None
    return finder.find_class(source, name) if source is not None and name is not None else None


def _methods(found: ClassSource, finder: SourceFinder) -> tuple[frozenset[str], str] | None:
    names: set[str] = set()
    for each in finder.lineage(found):
        if each is None or each.node.decorator_list or each.node.keywords:
            return None  # a base, a decorator or a metaclass that may add methods
        for node in ast.walk(each.node):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Call) and _last_name(node.func) in {"setattr", "vars"}:
                return None  # methods that are made at run time
            elif isinstance(node, ast.Attribute) and node.attr == "__dict__":
                return None
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
        names |= _set_outside(each)
    if "*" in names or "__getattr__" in names or "__getattribute__" in names:
        return None
    return frozenset(names), found.source.path


def _set_outside(found: ClassSource) -> set[str]:
    """Attributes of a class that its module sets after the class statement; "*" if their names are computed."""
    names: set[str] = set()
    for node in ast.walk(found.source.tree):
        if isinstance(node, ast.Call) and _last_name(node.func) == "setattr" and len(node.args) == 3:
            owner, name = node.args[:2]
            if isinstance(owner, ast.Name) and owner.id == found.node.name:
                names.add(
                    name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else "*"
                )
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == found.node.name:
                names.add(node.attr)
    return names


def program_source(command: str, folder: str, finder: SourceFinder) -> ParsedSource | None:
    """Return the source of the program that a command starts: `-m MODULE`, `FILE.py` or an installed script."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    for word, following in zip(words[:6], [*words[1:7], ""], strict=False):
        if word == "-m" and following:
            return finder.source(following + ".__main__") or finder.source(following)
        if word.endswith(".py"):
            path = Path(os.path.join(folder, os.path.expanduser(word)))
            return read(path, path.stem)
    module = installed_scripts().get(os.path.basename(words[0])) if words else None
    return finder.source(module) if module else None


@lru_cache(maxsize=1)
def installed_scripts() -> dict[str, str]:
    """Return the modules of the programs that packages have installed."""
    from importlib.metadata import entry_points

    return {each.name: each.module for each in entry_points(group="console_scripts")}


def served_names(tree: ast.Module) -> tuple[str, ...]:
    """Return the names of the targets that a server program serves; empty if they are computed.

    Also empty if the program has several servers with different targets.
    """
    found = set()
    for call in _server_calls(tree):
        names = [name for name, _ in _served(call)]
        first = call.args[0]
        if not names or (isinstance(first, ast.Dict) and len(names) != len(first.keys)):
            return ()
        if _last_name(call.func) == REXEC_LOOP:
            names += [f"{name}_rexec" for name in names]
        found.add(tuple(names))
    return found.pop() if len(found) == 1 else ()


def _server_calls(tree: ast.Module) -> Iterator[ast.Call]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _last_name(call.func) in LOOPS and call.args:
            yield call


def offers_option(tree: ast.Module, option: str) -> bool:
    """Return whether a program's command line has an option: `add_argument("--simulation", ...)`."""
    return any(
        isinstance(call, ast.Call)
        and _last_name(call.func) == "add_argument"
        and any(isinstance(each, ast.Constant) and each.value == option for each in call.args)
        for call in ast.walk(tree)
    )


def target_class(tree: ast.Module, target_name: str | None) -> str | None:
    """Return the class whose instance a server program serves under a target's name."""
    for call in _server_calls(tree):
        served = dict(_served(call))
        if target_name is None:
            values = list(served.values())
            value = values[0] if len(values) == 1 else None
        else:
            value = served.get(target_name)
        if value is not None:
            return _class_of(value, tree)
    return None


def _served(call: ast.Call) -> list[tuple[str, ast.expr]]:
    """Target names and the expressions of what is served under them."""
    first = call.args[0]
    if isinstance(first, ast.Dict):
        found = []
        for key, value in zip(first.keys, first.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.append((key.value, value))
        return found
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and len(call.args) > 1:
        return [(first.value, call.args[1])]
    return []


def _class_of(value: ast.expr, tree: ast.Module) -> str | None:
    """Name of the class that an expression makes: a call of it, or a variable that is only assigned such calls."""
    if isinstance(value, ast.Call):
        return _last_name(value.func)
    if not isinstance(value, ast.Name):
        return None
    classes = {
        _last_name(node.value.func) if isinstance(node.value, ast.Call) else None
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(each, ast.Name) and each.id == value.id for each in node.targets)
    }
    classes |= {
        _last_name(item.context_expr.func) if isinstance(item.context_expr, ast.Call) else None
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == value.id
    }
    return next(iter(classes)) if len(classes) == 1 else None


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None

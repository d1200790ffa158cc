"""Finds keys that a source file writes twice; the resulting dict no longer shows them."""

import ast
from typing import Any

Fact = dict[str, Any]
"""`kind` ("literal" or "reassigned"), `key`, `same` (equal values), `file`, `place` (line, column, end line, end
column) of the later key, and `first`, the line of the earlier."""


def duplicates(tree: ast.Module, file: str) -> list[Fact]:
    """Return every constant key that is written twice in one dict display, or assigned again in one file.

    Args:
        tree: The syntax tree, not instrumented yet.
        file: The file that it is of.

    """
    found: list[Fact] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            _in_display(node, found)
    _reassigned(tree, found)
    for fact in found:
        fact["file"] = file
    return found


def _in_display(node: ast.Dict, found: list[Fact]) -> None:
    first: dict[Any, tuple[ast.expr, ast.expr]] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant):
            continue
        if key.value in first:
            old_key, old_value = first[key.value]
            is_same = ast.dump(old_value) == ast.dump(value)
            found.append(_fact("literal", key.value, is_same, key, old_key))
        first[key.value] = (key, value)


def _reassigned(tree: ast.Module, found: list[Fact]) -> None:
    """Constant keys of `device_db` at the top level of the file that are given another value later."""
    first: dict[Any, tuple[ast.expr, ast.expr]] = {}
    for statement in tree.body:
        for key, value in _assigned(statement):
            if key.value in first:
                old_key, old_value = first[key.value]
                if ast.dump(old_value) != ast.dump(value):
                    found.append(_fact("reassigned", key.value, False, key, old_key))
            first[key.value] = (key, value)


def _assigned(statement: ast.stmt) -> list[tuple[ast.Constant, ast.expr]]:
    """The constant keys of `device_db` that a statement sets, each once."""
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
        if _is_database(target):
            return _pairs(statement.value)
        if isinstance(target, ast.Subscript) and _is_database(target.value):
            return _pairs(ast.Dict([target.slice], [statement.value]))
    if isinstance(statement, ast.AugAssign) and _is_database(statement.target):
        return _pairs(statement.value)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if isinstance(call.func, ast.Attribute) and call.func.attr == "update" and call.args:
            return _pairs(call.args[0]) if _is_database(call.func.value) else []
    return []


def _pairs(node: ast.expr) -> list[tuple[ast.Constant, ast.expr]]:
    if not isinstance(node, ast.Dict):
        return []
    # Within one display the last key counts; the duplicate itself is a finding of its own.
    last: dict[str, tuple[ast.Constant, ast.expr]] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            last[key.value] = (key, value)
    return list(last.values())


def _is_database(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "device_db"


def _fact(kind: str, key: Any, is_same: bool, at: ast.expr, first: ast.expr) -> Fact:
    place = [at.lineno, at.col_offset, at.end_lineno, at.end_col_offset]
    shown = key if isinstance(key, str) else repr(key)
    return {"kind": kind, "key": shown, "same": is_same, "place": place, "first": first.lineno}

"""Reads a device database without running it.

The result is the same picture as the child process makes. Values that depend on running the file are UNKNOWN.
"""

import ast
from pathlib import Path
from typing import Any, Final

from devicedb.model.facts import FileFacts
from devicedb.model.located import UNKNOWN
from devicedb.place import Place
from devicedb.trace.duplicates import duplicates

_UNHASHABLE: Final = "a key that is computed"


def read_static(source: Path, path: str) -> FileFacts:
    """Return the facts of a file that is not run."""
    text = source.read_bytes()
    try:
        tree = ast.parse(text, path)
        found = duplicates(tree, path)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        message = getattr(error, "msg", None) or str(error)
        fault = {"kind": "SyntaxError", "text": message, "file": path, "line": line, "column": column}
        return FileFacts(path, ended="static", picture={"error": fault})
    except (RecursionError, MemoryError):
        return _unreadable(path)
    reader = _StaticReader(path)
    try:
        reader.module(tree)
    except RecursionError:
        return _unreadable(path)
    picture: dict[str, Any] = {"files": [path], "sites": reader.sites, "duplicates": found}
    if reader.database is not None:
        picture |= {"root": reader.database, "incomplete": bool(reader.unknown)}
    elif not reader.unknown:
        picture["missing"] = sorted(reader.constants)
    return FileFacts(path, ended="static", picture=picture, unknown=tuple(reader.unknown))


def _unreadable(path: str) -> FileFacts:
    unknown = ("the whole file, which is nested too deeply to be read", Place(path, 1, 0, 1, 0))
    return FileFacts(path, ended="static", unknown=(unknown,))


class _StaticReader:
    """Interprets the constant assignments at the top level of a file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sites: list[tuple[int, int, int, int, int]] = []
        self.constants: dict[str, ast.expr] = {}
        self.database: Any = None
        self.unknown: list[tuple[str, Place]] = []
        self.containers = 0
        self.changed: frozenset[str] = frozenset()
        self.made: dict[int, Any] = {}

    def module(self, tree: ast.Module) -> None:
        """Read every statement in order."""
        self.changed = changed_names(tree)
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                self.assign(statement.targets[0], statement.value, statement)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self.assign(statement.target, statement.value, statement)
            elif _mentions_database(statement):
                self.merge_into(statement)

    def assign(self, target: ast.expr, value: ast.expr, statement: ast.stmt) -> None:
        """Read `device_db = ...`, `device_db[...] = ...` and constants."""
        if isinstance(target, ast.Name) and target.id != "device_db":
            if target.id not in self.changed:
                self.constants[target.id] = value
        elif isinstance(target, ast.Name):
            self.database = self.node(value)
            if isinstance(self.database, dict) and "o" in self.database:
                self.database = None
                self.leave_out("device_db is computed", value)
        elif _is_item(target) and isinstance(self.database, dict) and "d" in self.database:
            key = self.node(target.slice)  # type: ignore[attr-defined]
            if isinstance(key, list):
                self.put(key, self.node(value))
            else:
                self.leave_out(_UNHASHABLE, target)
        elif _mentions_database(statement):
            self.leave_out("a statement that changes device_db", statement)

    def merge_into(self, statement: ast.stmt) -> None:
        """Read `device_db.update({...})` and `device_db |= {...}`."""
        other: ast.expr | None = None
        if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.BitOr):
            other = statement.value
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            is_update = isinstance(call.func, ast.Attribute) and call.func.attr == "update"
            other = call.args[0] if is_update and len(call.args) == 1 and not call.keywords else None
        node = self.node(other) if other is not None else None
        if (
            isinstance(node, dict)
            and "d" in node
            and isinstance(self.database, dict)
            and "d" in self.database
        ):
            for key, value in node["d"]:
                self.put(key, value)
        else:
            self.leave_out("a statement that changes device_db", statement)

    def put(self, key: Any, value: Any) -> None:
        """Set an item of the database's picture."""
        pairs = self.database["d"]
        for pair in pairs:
            if pair[0][0] == key[0]:
                pair[1] = value
                return
        pairs.append([key, value])

    def leave_out(self, what: str, node: ast.expr | ast.stmt) -> None:
        """Note a part that cannot be known without running the file."""
        self.unknown.append((what, Place(self.path, *self.sites[self.site(node)][1:])))

    def site(self, node: ast.expr | ast.stmt) -> int:
        """Number the place of a node."""
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        self.sites.append((0, node.lineno, node.col_offset, end_line, end_column))
        return len(self.sites) - 1

    def node(self, value: ast.expr, depth: int = 0) -> Any:
        """Return the picture of an expression."""
        site = self.site(value)
        if isinstance(value, ast.Constant) and isinstance(value.value, str | int | float | bool | None):
            return [value.value, site]
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
            inner = self.node(value.operand)
            if isinstance(inner, list) and type(inner[0]) in (int, float):
                return [-inner[0], site]
        if isinstance(value, ast.Name) and value.id in self.constants and depth < 20:
            constant = self.constants[value.id]
            if id(constant) not in self.made:  # one object, wherever its name stands
                self.made[id(constant)] = self.node(constant, depth + 1)
            return self.made[id(constant)]
        if isinstance(value, ast.List | ast.Tuple) and not any(
            isinstance(e, ast.Starred) for e in value.elts
        ):
            kind = "list" if isinstance(value, ast.List) else "tuple"
            self.containers += 1
            number = self.containers
            return {"l": [self.node(each, depth) for each in value.elts], "k": kind, "s": site, "i": number}
        if isinstance(value, ast.Dict):
            return self.dict_node(value, site, depth)
        return {"o": [UNKNOWN.type_name, ""], "s": site}

    def dict_node(self, value: ast.Dict, site: int, depth: int) -> Any:
        """Return the picture of a dict display; computed keys are noted and left out."""
        self.containers += 1
        number = self.containers
        pairs: dict[Any, list[Any]] = {}
        for key, each in zip(value.keys, value.values, strict=True):
            key_node = self.node(key, depth) if key is not None else None
            if not isinstance(key_node, list):
                self.leave_out(_UNHASHABLE, key or each)
                if depth or self.database is not None or number > 1:
                    return {"o": [UNKNOWN.type_name, ""], "s": site}
                continue
            pairs[key_node[0]] = [key_node, self.node(each, depth)]
        return {"d": list(pairs.values()), "s": site, "i": number}


MUTATORS: Final = frozenset(
    "add append clear discard extend insert pop popitem remove reverse setdefault sort update".split()
)
"""Methods that modify their object."""


def changed_names(tree: ast.Module) -> frozenset[str]:
    """Return the names that are changed by more than assignments at the top level."""
    plain = {
        id(target)
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        target: ast.expr | None = None
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            target = None if isinstance(node, ast.Name) and id(node) in plain else node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in MUTATORS else None
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return frozenset(found - {"device_db"})


def _is_item(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "device_db"
    )


def _mentions_database(node: ast.stmt) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "device_db" for each in ast.walk(node))

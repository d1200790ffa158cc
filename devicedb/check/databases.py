"""Which files of a folder are device databases. Their text decides; nothing is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

from devicedb.drivers.sources import MAX_SOURCE, python_files


def databases_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the device databases below a folder, and the files that are named like one but are none."""
    named = [path for path in python_files(folder) if "device_db" in path.name]
    found = [path for path in named if is_database(path)]
    return found, [path for path in named if path not in found]


def is_database(path: Path) -> bool:
    """Return whether a file is a device database: `device_db.py`, or a file that only makes a global `device_db`.

    A script that makes databases, a test, or a module of helpers has functions of its own to run, and is not one.
    """
    try:
        if path.stat().st_size > MAX_SOURCE:
            return path.name.startswith("device_db")
        return defines_database(path.name, path.read_bytes())
    except OSError:
        return path.name.startswith("device_db")  # the check tells why it cannot be read


def defines_database(name: str, source: str | bytes) -> bool:
    """Return whether a file is a device database by its name and text; see `is_database`."""
    if name == "device_db.py":
        return True
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return name.startswith("device_db")  # the check tells what is wrong with it
    return any(_defines(statement) for statement in _top_level(tree.body)) and not _is_script(tree)


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing a module runs, but for the inside of functions and classes."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _top_level(getattr(statement, name, []))


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return any((each.asname or each.name) == "device_db" for each in statement.names)
    if isinstance(statement, ast.Assign):
        targets = [each for target in statement.targets for each in ast.walk(target)]
        return any(isinstance(each, ast.Name) and each.id == "device_db" for each in targets)
    return (
        isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id == "device_db"
        and statement.value is not None
    )


def _is_script(tree: ast.Module) -> bool:
    """Whether a file reads a command line, is started as a program, or is a test."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {each.name.partition(".")[0] for each in node.names}
            if isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
            if names & {"argparse", "click", "pytest", "unittest", "optparse"}:
                return True
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            return True
        elif isinstance(node, ast.Attribute) and node.attr == "argv":
            return True
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "__name__":
            return True
    return False

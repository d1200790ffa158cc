"""The table of behaviours in the documentation has the behaviours that are tested."""

import ast
from pathlib import Path

from tests.campaigns.remote_matrix import FOLDER, behaviour

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "remote-matrix.md"


def test_the_table_has_a_row_for_each_test_of_the_matrix() -> None:
    tests = [
        statement.name
        for statement in ast.parse((FOLDER / "test_matrix.py").read_text(encoding="utf-8")).body
        if isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_")
    ]
    assert len(tests) >= 12
    rows = TABLE.read_text(encoding="utf-8")
    assert [name for name in tests if f"| {behaviour(name)} |" not in rows] == []

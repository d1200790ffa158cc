"""The page for reviewers says of each folder of tests which promise it holds."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]


def test_each_folder_of_tests_has_one_row() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    folders = sorted(path.parent.name for path in TESTS.glob("*/__init__.py"))
    assert [name for name, _ in rows] == folders
    promises = [promise for _, promise in rows]
    assert len(set(promises)) == len(promises)
    assert min(map(len, promises)) > 20

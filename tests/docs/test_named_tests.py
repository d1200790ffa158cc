"""Pages that say which test shows something name tests that exist."""

import re
from pathlib import Path
from typing import Final

import pytest

from devicedb.rules import RULES

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "differences-from-artiq.md"
SECURITY: Final = ROOT / "docs" / "explanation" / "security.md"


@pytest.mark.parametrize("page", [PAGE, SECURITY], ids=lambda page: page.stem)
def test_every_test_that_is_named_exists(page: Path) -> None:
    tests = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")))
    assert len(named) > 30
    assert not named - tests


def test_the_number_of_rules_is_right() -> None:
    found = re.search(r"\[(\d+) rules\]", PAGE.read_text(encoding="utf-8"))
    if found is None:
        pytest.fail("the page does not say how many rules there are")
    assert int(found[1]) == len(RULES)

"""Every definition of the three packages has a caller outside the tests, or a reason."""

import pytest

pytest.importorskip("vulture", reason="needs the extra dev")

from tests.campaigns import unused


def test_every_definition_has_a_caller_or_a_reason() -> None:
    assert not list(unused.problems())


def test_a_name_in_all_is_not_used_by_that() -> None:
    found = unused.Definitions()
    found.scan('__all__ = ["shown"]\n\n\ndef shown() -> None:\n    """Do."""\n', filename="module.py")
    assert [item.name for item in found.get_unused_code()] == ["shown"]

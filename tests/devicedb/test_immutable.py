"""Findings, settings, facts and edits are values: they do not change."""

from tests.immutable import changeable


def test_what_is_found_does_not_change() -> None:
    assert changeable("devicedb") == {"Bracket", "Drivers", "SourceFinder", "_Sources"}

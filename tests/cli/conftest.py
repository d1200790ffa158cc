"""A laboratory for the tests of the command line."""

from pathlib import Path

import pytest

from tests.cli.program import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return an empty folder with a device database that holds nothing."""
    made = Lab(tmp_path)
    made.devices({})
    return made

"""A sample of the campaign of kills."""

import os

import pytest

from tests.campaigns.catalogue_kills import campaign


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a file that is being read cannot be removed there")
def test_a_sample_of_kills_leaves_no_damage() -> None:
    _, asked = campaign(3, seed=7)
    assert asked == 18

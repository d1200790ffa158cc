"""Memory that large values take: a sample of `python -m tests.campaigns.wire_size`."""

import os

import pytest


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="peak memory is read as POSIX has it")
@pytest.mark.parametrize("kind", ["array", "bytes"])
@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_large_value_takes_at_most_two_and_a_half_times_its_size_at_either_end(
    kind: str, direction: str
) -> None:
    from tests.campaigns.wire_size import LIMIT, MB, between_ours

    figures = between_ours(direction, kind, 48 * MB, "client")
    assert max(figures["client"], figures["server"]) <= LIMIT, figures

"""As much is compressed as there is time for."""

import pytest

from rexec.results.hdf5.pace import CompressionPace
from tests.clock import set_clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    set_clock(monkeypatch, "rexec.results.hdf5.pace", perf_counter=lambda: now[0])
    return now


def allowed(made: CompressionPace) -> int:
    """Return the most bytes that there is time to compress."""
    low, high = 0, 10**12
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if made.allows(middle) else (low, middle - 1)
    return low


def test_only_the_end_of_a_run_is_in_a_hurry() -> None:
    made = CompressionPace()
    assert made.allows(10**15)
    made.begin(hurry=False)
    assert made.allows(10**15)
    made.begin(hurry=True)
    assert allowed(made) == 50_000_000
    made.begin(hurry=False)
    assert made.allows(10**15)


def test_what_was_used_is_gone_and_the_rate_follows_what_was_measured(clock: list[float]) -> None:
    made = CompressionPace()
    made.begin(hurry=True)
    with made.measured(2**18):
        clock[0] += 0.25
    rate = (50e6 + 2**18 / 0.25) / 2
    assert allowed(made) == int(0.75 * rate)
    with made.measured(2**18 - 1):  # too little to measure by
        clock[0] += 0.25
    assert allowed(made) == int(0.5 * rate)
    with made.measured(2**20):  # quicker than the clock
        pass
    assert allowed(made) == int(0.5 * rate)
    made.begin(hurry=True)
    assert allowed(made) == int(rate)

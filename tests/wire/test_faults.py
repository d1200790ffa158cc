"""A sample of the campaign tests/campaigns/wire_faults.py: never a wrong answer, never a wait past its deadline."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.fault_schedules import MODES, SCHEDULES, Arena, arena
from tests.wire.faulty import Fault, Schedule


@pytest.fixture(scope="module")
def played() -> Iterator[Arena]:
    with arena() as one:
        yield one


@pytest.mark.parametrize("mode", MODES)
def test_without_faults_every_call_is_answered(played: Arena, mode: str) -> None:
    outcome = played.play([Schedule((), (), False)], mode, deadline=20.0)
    assert (outcome.right, outcome.failed) == (3, 0)


@pytest.mark.parametrize("kind", ["stall", "cut", "repeat"])
def test_a_fault_costs_a_call_not_the_truth(played: Arena, kind: str) -> None:
    # The greeting and the method names are over after some 1,100 bytes.
    outcome = played.play([Schedule((), (Fault(1300, kind),), False)], "blocking", calls=12, deadline=2.0)
    assert outcome.right >= 9


@given(schedules=SCHEDULES, mode=st.sampled_from(MODES))
@settings(max_examples=80)
def test_no_schedule_of_faults_leads_to_a_wrong_answer(schedules: list[Schedule], mode: str) -> None:
    with arena() as one:
        one.play(schedules, mode)

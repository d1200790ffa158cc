"""A controller that answers no ping is restarted only where nobody can be waiting for it, or somebody said when."""

import pytest

from rexec.supervise.busy import judge
from rexec.supervise.ping import Unanswered

SILENT = Unanswered(False, "no answer within 30 s")
IN_A_CALL = Unanswered(True, "no answer within 30 s")


def test_without_a_client_it_is_restarted() -> None:
    verdict = judge(SILENT, 30, [], None)
    assert not verdict.is_left_alone
    assert verdict.reason == "no answer to a ping: no answer within 30 s; no client is connected"


@pytest.mark.parametrize("seconds", [30, 3600, 1e6])
def test_with_a_client_it_is_left_alone_for_ever(seconds: float) -> None:
    verdict = judge(SILENT, seconds, ["10.0.0.7:5"], None)
    assert verdict.is_left_alone
    assert f"no answer for {seconds:.0f} s" in verdict.reason
    assert "hung (it does not shake hands); connected: 10.0.0.7:5: left alone" in verdict.reason


def test_one_that_shakes_hands_is_said_to_be_in_a_call() -> None:
    assert "in a call (it still shakes hands)" in judge(IN_A_CALL, 30, ["a:1"], None).reason


def test_a_limit_that_somebody_gave_ends_it() -> None:
    assert judge(IN_A_CALL, 599, ["a:1"], 600).is_left_alone
    verdict = judge(IN_A_CALL, 600, ["a:1"], 600)
    assert not verdict.is_left_alone
    assert verdict.reason.endswith("connected: a:1: longer than its busy_limit of 600 s")


def test_where_the_system_tells_nothing_it_is_left_alone() -> None:
    verdict = judge(SILENT, 30, None, None)
    assert (verdict.is_left_alone, "the system does not list" in verdict.reason) == (True, True)


def test_many_clients_are_counted() -> None:
    assert (
        "connected: a:1, a:2, a:3 and 2 more"
        in judge(SILENT, 1, [f"a:{n}" for n in range(1, 6)], None).reason
    )

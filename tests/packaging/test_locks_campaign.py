"""The campaign that takes each lock out: a sample of it, and that no lock is left out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.campaigns import locks
from tests.threads.without import Mutant, mutants

REPLAYER = ("rexec/record/recording.py", "Replayer._lock")


def test_every_lock_has_tests_and_every_excuse_a_lock() -> None:
    found = [*mutants(), *mutants(each_use=True)]
    assert not [str(each) for each in found if not locks.tests_of(each).exists()]
    assert locks.EXCUSED.keys() <= {str(each) for each in found}


@pytest.mark.slow
def test_a_lock_that_is_taken_out_is_noticed_and_nothing_else_is() -> None:
    section = next(each for each in mutants(each_use=True) if (each.file, each.lock) == REPLAYER)
    tried = [Mutant(*REPLAYER), section, Mutant(REPLAYER[0], "Replayer.no_lock")]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(locks.outcome, tried)) == ["killed", "killed", "survived"]

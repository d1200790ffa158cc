"""A process can tell itself from the one that it was forked from."""

import sys

import pytest

from rexec.ground import forks
from tests.ground.forking import in_a_fork

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")


def test_each_fork_counts_one() -> None:
    here = forks.generation
    assert in_a_fork(lambda: str(forks.generation)) == str(here + 1)
    assert in_a_fork(lambda: in_a_fork(lambda: str(forks.generation))) == str(here + 2)
    assert forks.generation == here

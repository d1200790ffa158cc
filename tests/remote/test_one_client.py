"""A sample of `tests.campaigns.one_client_remote`: nothing wrong, nothing stuck, nobody disturbed."""

import argparse
import sys

import pytest

from tests.campaigns.one_client_remote import CASES, own_controller


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks and signals of POSIX")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Ctrl-C in a finalizer
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_remote_functions_go_on(case: str) -> None:
    with own_controller() as port:
        tally = CASES[case](port, argparse.Namespace(step=211, most=100_000, calls=16))
    assert tally.good, str(tally)
    assert tally.right > 2

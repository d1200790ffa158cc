"""A sample of the campaign tests/campaigns/one_client.py: never a wrong answer, never stuck, nobody disturbed."""

import os
import subprocess
import sys

import pytest

from tests.campaigns.one_client import KINDS


@pytest.mark.skipif(os.name == "nt", reason="forks and POSIX signals")
def test_a_client_answers_rightly_or_refuses_wherever_it_is_called() -> None:
    command = [sys.executable, "-m", "tests.campaigns.one_client", "--calls", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for server in ("our server", "our server, TLS"):
        for kind in KINDS:
            assert f"{server}, {kind}: " in done.stdout

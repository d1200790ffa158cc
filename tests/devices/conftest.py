"""What the tests of leases count on, however busy the machine is."""

import pytest


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no controller be left out that answers late; a test in which one does not answer says for how long."""
    monkeypatch.setattr("rexec.devices.leases.LAST", 150.0)

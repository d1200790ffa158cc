"""Simulated devices are called by many clients at once."""

from typing import Any

import pytest

from rexec.simulate.faults import Fault, Faults
from tests.threads.interleaving import Race

FAULTS = ("rexec/simulate/faults.py",)


def faulty(fault: Fault = Fault(death=2)) -> Faults:  # noqa: B008
    faults = Faults("camera")
    faults.set("get", fault)
    return faults


def ends(faults: Faults) -> Any:
    return [faults.strike("get").end for _ in range(3)], dict(faults.active())


RACES: dict[str, "Race[Faults]"] = {
    "two calls are counted": Race(
        faulty, lambda f: f.strike("get").end, lambda f: f.strike("get").end, ends, FAULTS
    ),
    "a fault is set anew": Race(
        faulty, lambda f: f.strike("get").end, lambda f: f.set("get", Fault(death=2, delay=1)), ends, FAULTS
    ),
    "faults are taken away": Race(
        lambda: faulty(Fault(error=1.0)),
        lambda f: f.strike("get").error,
        lambda f: f.clear(),
        lambda f: (f.strike("get").error, dict(f.active())),
        FAULTS,
    ),
    "one fault is taken away": Race(
        faulty, lambda f: f.strike("get").end, lambda f: f.clear("get"), ends, FAULTS
    ),
    "a fault that strikes is taken away": Race(
        lambda: faulty(Fault(death=1)),
        lambda f: f.strike("get").end,
        lambda f: f.clear("get"),
        ends,
        FAULTS,
    ),
    "faults are listed": Race(
        faulty, lambda f: dict(f.active()), lambda f: f.set("other", Fault(delay=1)), ends, FAULTS
    ),
}


@pytest.mark.parametrize("name", RACES)
def test_threads_find_the_faults_of_one_after_the_other(name: str) -> None:
    RACES[name].check()

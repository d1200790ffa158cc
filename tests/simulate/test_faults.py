"""Faults: how they are written, and that the same seed gives the same ones."""

import pytest

from rexec.simulate.errors import FaultError
from rexec.simulate.faults import Fault, Faults, parse_fault


@pytest.mark.parametrize(
    ("text", "device", "fault"),
    [
        ("camera:delay=2", "camera", Fault(delay=2.0)),
        ("camera.get_frame:error=0.25,delay=1e-3", "camera.get_frame", Fault(delay=0.001, error=0.25)),
        ("camera:death", "camera", Fault(death=1)),
        ("camera:death=5", "camera", Fault(death=5)),
        ("camera:silence", "camera", Fault(silence=0)),
        ("a:b:silence=3", "a:b", Fault(silence=3)),
    ],
)
def test_a_fault_is_read(text: str, device: str, fault: Fault) -> None:
    assert parse_fault(text) == (device, fault)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("camera", "write DEVICE:KIND=VALUE"),
        ("camera:", "write DEVICE:KIND=VALUE"),
        ("camera:dely=2", "Did you mean 'delay'?"),
        ("camera:delay=soon", "delay='soon' is no number"),
        ("camera:delay=nan", "give seconds"),
        ("camera:error=2", "give a probability"),
        ("camera:death=0", "the number of the call"),
        ("camera:silence=-1", "the number of the first call"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(text: str, words: str) -> None:
    with pytest.raises(FaultError) as found:
        parse_fault(text)
    assert words in str(found.value)


def errors_of(faults: Faults, method: str = "read", calls: int = 200) -> list[bool]:
    return [faults.strike(method).error is not None for _ in range(calls)]


def test_the_same_seed_gives_the_same_errors_whatever_else_is_called() -> None:
    one, other, third = Faults("camera", 7), Faults("camera", 7), Faults("camera", 8)
    for each in (one, other, third):
        each.set(None, Fault(error=0.3))
    first = errors_of(one)
    between = []
    for _ in range(200):
        other.strike("write")
        between.append(other.strike("read").error is not None)
    assert first == between
    assert 30 < sum(first) < 90
    assert errors_of(third) != first


def test_a_fault_that_is_set_again_begins_again() -> None:
    faults = Faults("camera", 3)
    faults.set(None, Fault(error=0.5))
    first = errors_of(faults)
    faults.set(None, Fault(error=0.5))
    assert errors_of(faults) == first


def test_faults_of_all_methods_and_of_one_add_up() -> None:
    faults = Faults("camera")
    faults.set(None, Fault(delay=1.0))
    faults.set("read", Fault(delay=0.5, error=1.0))
    assert faults.strike("read").delay == 1.5
    assert faults.strike("write").delay == 1.0
    assert faults.strike("write").error is None
    faults.clear("read")
    assert faults.strike("read").delay == 1.0
    faults.clear()
    assert faults.active() == {}


def test_death_comes_at_its_call_and_once() -> None:
    faults = Faults("camera")
    faults.set(None, Fault(death=3))
    assert [faults.strike("read").end for _ in range(5)] == [None, None, "death", None, None]


def test_ping_is_left_alone_by_what_is_said_of_all_methods() -> None:
    faults = Faults("camera")
    faults.set(None, Fault(delay=9.0, error=1.0, death=1))
    strike = faults.strike("ping")
    assert (strike.delay, strike.error, strike.end) == (0.0, None, None)
    faults.set("ping", Fault(error=1.0))
    assert faults.strike("ping").error is not None

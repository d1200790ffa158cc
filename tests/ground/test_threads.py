"""What the threads of a server, and of a child process, share."""

import os
from typing import Any

import pytest

from rexec.ground import _child_main
from rexec.ground.lease_table import LeaseTable
from tests.threads.interleaving import Race

LEASES = ("rexec/ground/lease_table.py",)


def take(table: LeaseTable, who: str, *, exclusive: bool) -> Any:
    said = {"machine": "elsewhere", "pid": 1, "name": who}
    return names(table.take("camera", who, exclusive, lambda: True, lambda: said))


def names(leases: Any) -> Any:
    return leases and sorted((each["name"], each["waiting"]) for each in leases)


def one(exclusive: bool) -> Any:
    return lambda table: take(table, "one", exclusive=exclusive)


def other(exclusive: bool) -> Any:
    return lambda table: take(table, "other", exclusive=exclusive)


def held() -> LeaseTable:
    table = LeaseTable()
    take(table, "one", exclusive=False)
    return table


def seen(table: LeaseTable) -> Any:
    return (
        names(table.present()),
        names(table.shared("camera", "one")),
        names(table.shared("camera", "other")),
    )


TAKEN: dict[str, "Race[LeaseTable]"] = {
    "by two alone": Race(LeaseTable, one(True), other(True), seen, LEASES),
    "by two together": Race(LeaseTable, one(False), other(False), seen, LEASES),
    "once more by its holder": Race(held, one(True), other(False), seen, LEASES),
    "as leases are listed": Race(held, lambda t: names(t.present()), other(False), seen, LEASES),
    "as it is asked who shares it": Race(
        held, lambda t: names(t.shared("camera", "one")), other(False), seen, LEASES
    ),
    "in vain, as it is asked who waits": Race(
        held, lambda t: names(t.shared("camera", "one")), other(True), seen, LEASES
    ),
    "in vain, as leases are listed": Race(held, lambda t: names(t.present()), other(True), seen, LEASES),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_lease_is_taken(name: str) -> None:
    TAKEN[name].check()


class Pipe:
    """The answers of a child, whose system takes three bytes of a write at a time."""

    def __init__(self) -> None:
        self.bytes = b""
        self.say = _child_main._speaker()

    def write(self, _: int, data: bytes) -> int:
        self.bytes += bytes(data[:3])
        return min(3, len(data))


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    class System:
        """What a child asks of its system."""

        write: Any

        def dup(self, _: int) -> int:
            return 3

        def dup2(self, old: int, new: int) -> None: ...

        _exit = staticmethod(os._exit)

    system = System()
    monkeypatch.setattr(_child_main, "os", system)

    def make() -> Pipe:
        made = Pipe()
        system.write = made.write
        return made

    return make


def test_the_lines_of_two_threads_of_a_child_do_not_mix(pipe: Any) -> None:
    Race(
        pipe,
        lambda p: p.say(b"first line"),
        lambda p: p.say(b"second line"),
        lambda p: p.bytes,
        ("rexec/ground/_child_main.py",),
    ).check()

"""Watchdogs, the reconciler and clients of one supervisor, each in a thread of its own."""

import logging
import socket
from typing import Any

import pytest

from devicedb import from_dict
from rexec.supervise import guardian, supervisor
from rexec.supervise.forward import LogForwarder
from rexec.supervise.guardian import Guardian
from rexec.supervise.selection import ControllerSelection
from rexec.supervise.sources import MasterSource
from rexec.supervise.supervisor import Supervisor
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

GUARDIAN = ("rexec/supervise/guardian.py",)
SUPERVISOR = ("rexec/supervise/supervisor.py",)
SOURCES = ("rexec/supervise/sources.py",)
FORWARD = ("rexec/supervise/forward.py",)


class GuardianProcess:
    """Notes what the guardian's process is told, in place of one."""

    begun: list["GuardianProcess"] = []  # noqa: RUF012

    def __init__(self, *_: object, **__: object) -> None:
        self.watched: set[bytes] = set()
        self.begun.append(self)

    def send(self, line: bytes) -> None:
        what, _, group = line.partition(b" ")
        (self.watched.add if what == b"watch" else self.watched.discard)(group)

    def close(self, _: float) -> None:
        self.watched.clear()


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(guardian, "Child", GuardianProcess)
    monkeypatch.setattr(guardian, "HAS_GUARD", False)

    def make() -> Guardian:
        GuardianProcess.begun = []
        made = Guardian()
        made._groups.add(9)
        return made

    return make


def watched(_: Guardian) -> Any:
    return [each.watched for each in GuardianProcess.begun]


GROUPS: dict[str, tuple[Any, Any]] = {
    "two begin": (lambda g: g.watch(1), lambda g: g.watch(2)),
    "one begins, one has ended": (lambda g: g.watch(1), lambda g: g.forget(9)),
    "one begins, all end": (lambda g: g.watch(1), lambda g: g.close()),
}


@pytest.mark.parametrize("name", GROUPS)
def test_one_guardian_knows_every_group(watching: Any, name: str) -> None:
    Race(watching, *GROUPS[name], watched, GUARDIAN).check()


class Watchdog:
    """Notes what is asked of it, in place of one that starts a controller."""

    begun: list["Watchdog"] = []  # noqa: RUF012

    def __init__(self, spec: Any, *_: object) -> None:
        self.spec, self.said = spec, ""
        self.begun.append(self)

    def start(self) -> None:
        self.said += "started "

    def end(self) -> None:
        self.said += "ending "

    def join(self) -> None:
        self.said += "ended"


@pytest.fixture
def supervising(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(supervisor, "Watchdog", Watchdog)

    def make() -> Supervisor:
        Watchdog.begun = []
        return Supervisor(lambda *_: None)

    return make


def follow(*names: str) -> Any:
    specs: Any = dict.fromkeys(names, "spec")
    return lambda s: s.follow(ControllerSelection(specs=specs))


def running(s: Supervisor) -> Any:
    return sorted(s._watchdogs), sorted(each.said for each in Watchdog.begun)


FOLLOWED: dict[str, tuple[Any, Any]] = {
    "two databases": (follow("camera", "lamp"), follow("lamp")),
    "a database, and the end": (follow("camera"), lambda s: s.close()),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_one_watchdog_runs_for_each_controller(supervising: Any, name: str) -> None:
    Race(supervising, *FOLLOWED[name], running, SUPERVISOR).check()


def source() -> MasterSource:
    """Return one that is connected to no master: a test tells it the changes."""
    made = object.__new__(MasterSource)
    made._origin, made.database = "master", from_dict({}, "master")
    made._sent = made._used = (made.database, 0.0)
    return made


def test_a_change_of_the_devices_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.supervise.sources.QUIET", float("-inf"))
    Race(
        source,
        lambda s: s.poll() and None,
        lambda s: s._changed({"camera": {"type": "controller", "host": "::1", "port": 1}}),
        lambda s: (s.poll() and None, list(s.database.raw)),
        SOURCES,
    ).check()


class Idle(LogForwarder):
    """Sends nothing by itself."""

    def __init__(self, *waiting: bytes, ends: bool = True) -> None:
        super().__init__("127.0.0.1", 1, "test")
        self._thread.join()
        for line in waiting:
            self._put(line)
        self._ending = ends
        self.master, self.end = socket.socketpair()

    def _run(self) -> None: ...

    def feed(self) -> None:
        self._feed(self.end)

    def seen(self) -> Any:
        logging.Handler.close(self)
        self.end.close()
        received = b"".join(iter(lambda: self.master.recv(4096), b""))
        self.master.close()
        return received, list(self._queue), self._size, self.dropped, self._ending


RECORDS: dict[str, "Race[Idle]"] = {
    "two at once": Race(Idle, lambda i: i._put(b"one"), lambda i: i._put(b"other"), Idle.seen, FORWARD),
    "one while another is sent": Race(
        lambda: Idle(b"one"), Idle.feed, lambda i: i._put(b"other"), Idle.seen, FORWARD
    ),
    "one at the end": Race(
        lambda: Idle(ends=False), lambda i: i._put(b"one"), lambda i: i.close(), Idle.seen, FORWARD
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_sent_once_and_counted(name: str) -> None:
    RECORDS[name].check()


def test_an_interrupted_record_costs_no_other() -> None:
    def check(idle: Idle, raised: bool, where: str) -> None:
        idle._put(b"next")
        _, queued, _, dropped, _ = idle.seen()
        assert queued[-1] == b"next", where
        assert dropped == 0, where

    interrupted_everywhere(lambda: Idle(b"first"), lambda i: i._put(b"one"), check, FORWARD)

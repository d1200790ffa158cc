"""A remote as its users see it: a client with functions, whose jobs end with it; and what it sends once."""

import concurrent.futures
import dataclasses
import inspect
import types
from typing import Any

import pytest

import rexec.remote
from rexec.remote import (
    CannotTravel,
    Captured,
    FleetResults,
    Job,
    Remote,
    RemoteClosed,
    RemoteFunctionError,
    _remote,
    _shipper,
    wrap,
)
from rexec.remote._analysis import analyse
from rexec.remote._function import Options
from rexec.remote._remote import client_name
from rexec.remote._shipment import BundlePart
from rexec.remote._shipper import Shipper
from rexec.remote._workers import Work
from rexec.wire.errors import MessageTooLong
from tests.remote import code
from tests.remote.test_channel import OK, Scripted, channel


class Camera(Scripted):
    """A client with more than remote functions."""

    width = 640

    def get_selected_target(self) -> str:
        return "camera_rexec"

    def double(self, number: int, *, further: int = 0) -> int:
        """Return twice a number."""
        return 2 * number + further

    def nested(self, remote: Any) -> None:
        remote.double(1)


def test_one_client_has_one_remote_until_that_is_closed() -> None:
    client = Camera(OK)
    made = []

    def again() -> Any:
        made.append(1)
        return client

    remote = wrap(client, lease=7.0, reconnect=again)
    assert wrap(client, "other") is remote
    assert wrap(remote) is remote
    assert (remote.name, remote._channel.lease, remote._channel._reconnect) == ("camera_rexec", 7.0, again)
    other = Camera(OK)
    assert wrap(other, "left").name == "left"
    remote.close_rpc()
    remote.close_rpc()
    assert client.asked == ["close_rpc"]
    assert wrap(client) is not remote
    assert wrap(other).name == "left"
    for each in (client, other):
        wrap(each).close_rpc()
    assert client_name(object()) == "controller"


def test_the_rest_of_a_client_is_there_in_turn_and_no_more_than_that() -> None:
    remote: Any = Remote(Camera(OK))
    assert (remote.width, remote.double(3, further=1), remote.double.__name__) == (640, 7, "double")
    assert remote.double.__doc__ == "Return twice a number."
    with pytest.raises(RemoteFunctionError, match="re-entrant call"):
        remote.nested(remote)
    for name in ("__len__", "_repr_png_", "_ipython_display_", "absent"):
        assert not hasattr(remote, name)
    assert not hasattr(Remote.__new__(Remote), "double")


def test_functions_have_the_driver_state_and_the_caller_by_default() -> None:
    assert Options() == Options(parallel=False, stateless=False, deadline=None, detached=False, quick=True)
    remote = Remote(Camera(OK))
    assert remote.function(code.scaled)._options == Options()
    given = {"parallel": True, "stateless": True, "deadline": 2.0, "detached": True}
    assert remote.function(code.scaled, **given)._options == Options(**given)  # type: ignore[arg-type]
    many = remote.function(code.decorated).one_of_many()
    assert (many._options, many.__wrapped__) == (Options(quick=False), code.decorated.rexec_function)
    assert inspect.signature(remote.function(code.scaled)) == inspect.signature(code.scaled)
    work = Work(concurrent.futures.Future(), int, (), {})
    facts: list[Any] = [Options(), Captured(1, []), FleetResults({}, {}), BundlePart((), 1, ""), work]
    for frozen in facts:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, dataclasses.fields(frozen)[0].name, 2)


def test_code_in_strings_is_sent_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(_remote, "note_sent", noted.append)
    client = Camera(OK)
    client.add_code = lambda text: client.asked.append(text)  # type: ignore[method-assign]
    remote = Remote(client)
    remote.add_code("x = 1")
    assert (client.asked, noted) == (["x = 1"], ["x = 1"])
    client.call = lambda *args, **kwargs: (args, kwargs)  # type: ignore[method-assign]
    assert remote.call("f", 1, key=2) == (("f", 1), {"key": 2})


def test_arguments_that_are_too_long_are_sent_in_pieces() -> None:
    client = Camera(MessageTooLong("long"), {"ok": None}, {"value": 8})
    client.add_code = lambda text: client.asked.append("add_code")  # type: ignore[method-assign]
    assert Remote(client).call("f", "session") == {"value": 8}
    assert client.asked == ["f", "add_code", "piece", "_rexec_call"]
    assert client.payloads == [[True, ["items", [["f", ["session"], {}]]]]]


def test_jobs_that_are_not_known_are_named() -> None:
    jobs = [{"id": "7", "name": "f", "state": "running", "progress": [0.0, ""]}]
    remote = Remote(Scripted({"ok": jobs}, {"ok": jobs}, {"ok": []}), "lamp")
    assert remote.jobs() == jobs
    with pytest.raises(LookupError, match="lamp has no job '8'; it has 7"):
        remote.job("8")
    with pytest.raises(LookupError, match="lamp has no job '8'; it has none"):
        remote.job("8")


def test_the_offset_of_a_clock_is_that_of_the_fastest_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 4.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(_remote, "wall_clock", lambda: next(times))
    client = Scripted({"ok": 103.0}, {"ok": 110.0}, {"ok": 120.0})
    assert Remote(client).clock_offset(3) == 99.5
    assert client.asked == ["add_code", *["clock"] * 3]
    assert inspect.signature(Remote.clock_offset).parameters["samples"].default == 8


def running(remote: Remote) -> Job[Any]:
    """Return a job of a remote, which has not ended."""
    found: Job[Any] = Job(remote._channel, "1", "f")
    remote._poller._jobs["1"] = found
    return found


def test_a_remote_that_is_closed_fails_its_jobs_before_and_after_it_says_so() -> None:
    jobs: list[Job[Any]] = []

    def leaves() -> dict[str, Any]:
        ended.append(jobs[0].done())
        jobs.append(running(remote))
        return OK

    ended: list[bool] = []
    client = Scripted({"ok": 7, "state": "1"}, leaves)
    remote = Remote(client, "lamp")
    remote.jobs()
    jobs.append(running(remote))
    assert (remote.busy, remote.active_jobs) == (True, jobs)
    assert remote in rexec.remote.open_remotes()
    with remote as entered:
        assert entered is remote
    assert ended == [True]
    for job in jobs:
        with pytest.raises(RemoteClosed, match="lamp: the remote is closed"):
            job.result(0)
    assert not remote.busy
    assert remote not in rexec.remote.open_remotes()


def test_the_thread_of_a_remote_is_ended_even_if_its_client_cannot_be_closed() -> None:
    client = Scripted(OK)
    client.close_rpc = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    remote = Remote(client)
    stopped: list[float] = []
    remote._poller.stop = lambda wait: stopped.append(wait)  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        remote.close_rpc()
    assert stopped == [5.0]


def test_a_forked_child_has_no_jobs_of_its_parent() -> None:
    remote = Remote(Scripted(OK))
    running(remote)
    remote._channel._generation = -1
    assert (remote.active_jobs, remote.busy) == ([], False)


def test_a_program_that_ends_closes_what_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    idle, busy = Remote(Scripted(OK)), Remote(Scripted(OK))
    running(busy)
    monkeypatch.setattr(_remote, "_OPEN", [idle, busy])
    closed: list[Remote] = []
    monkeypatch.setattr(Remote, "close_rpc", lambda remote: closed.append(remote))
    _remote._end_jobs_of_a_program_that_ends()
    assert closed == [busy]


def test_a_job_whose_controller_cannot_be_asked_is_not_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    asked = Scripted(OSError("cut"))
    job: Job[Any] = Job(channel(asked), "1", "f")
    assert not job.cancel()
    assert caplog.messages == ["lamp: f could not be cancelled: cut"]
    assert not job.done()
    for answer, is_cancelled in ((True, True), (False, False)):
        asked = Scripted({"ok": answer})
        job = Job(channel(asked), "1", "f")
        assert job.cancel() == is_cancelled
        assert (job.cancelled(), job.done()) == (is_cancelled, is_cancelled)
        assert job.cancel() == is_cancelled
        assert asked.asked.count("cancel") == (1 if is_cancelled else 2)
        assert asked.payloads[0] == "1"
    with pytest.raises(concurrent.futures.CancelledError):
        Job.result(cancelled(), 0)


def cancelled() -> Job[Any]:
    job: Job[Any] = Job(channel(Scripted({"ok": True})), "1", "f")
    ended: list[Any] = []
    job.add_done_callback(ended.append)
    job.cancel()
    assert ended == [job]
    assert concurrent.futures.wait([job], 0).done == {job}  # those that wait are told
    return job


def packed(message: str) -> dict[str, Any]:
    return {"class": "TypeError", "builtin": True, "message": message, "args": [message], "module": "builtins",
            "state": {}, "frames": [], "text": "", "notes": []}  # fmt: skip


def test_a_value_that_cannot_be_encoded_is_discarded_and_asked_for_again() -> None:
    client = Scripted({"error": packed("odd")}, {"ok": None}, {"ok": {"outcome": 1}})
    job: Job[Any] = Job(channel(client), "1", "f")
    job._events_seen = 3
    assert job.poll(4, 0.5) == {"outcome": 1}
    assert client.asked == ["add_code", "poll", "discard", "poll"]
    assert client.payloads == [
        ["1", 3, 4, 0.5], ["1", "f: its value cannot travel: odd"], ["1", 3, 4, 0.5],
    ]  # fmt: skip
    broken = Scripted(PermissionError("no"))
    with pytest.raises(PermissionError):
        Job(channel(broken), "1", "f").poll()
    assert broken.payloads == [["1", 0, 0, None]]


class Notes:
    """A channel that notes what is asked, and the state of whose agent the test sets."""

    where = "lamp"

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.state: str | None = None
        self.next = "1"
        self.answer: dict[str, Any] = {}
        self.parent = False

    def request(self, action: str, payload: Any) -> Any:
        self.asked.append((action, payload))
        self.state = self.next
        return self.answer

    def leave_the_parent_alone(self) -> None:
        if self.parent:
            self.state = None
            self.parent = False


def shipping() -> tuple[Notes, Shipper]:
    notes: Any = Notes()
    return notes, Shipper(notes)


def test_a_module_is_sent_once_to_each_state_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(_shipper, "note_sent", noted.append)
    notes, shipper = shipping()
    sent: list[int] = []
    for state, is_parent in (
        ("1", False),
        ("1", False),
        ("2", False),
        ("2", False),
        ("2", True),
        ("2", False),
    ):
        notes.next, notes.parent = state, is_parent
        if notes.state not in (None, state):
            notes.state = state  # another request has found out
        shipper.ship_module(code)
        sent.append(len(notes.asked))
    assert sent == [1, 1, 2, 2, 3, 3]
    assert len(noted) == 3
    assert noted[0].startswith(f'# {code.__file__}\n"""Functions that the tests send')
    notes.next = "3"
    other = types.ModuleType("lab_other")
    monkeypatch.setattr(_shipper, "module_source", lambda module: ("x = 1", "lab.py"))
    shipper.ship_module(other)
    shipper.ship_module(other)  # the agent was restarted meanwhile
    assert len(notes.asked) == 5
    shipper.ship_module(other)
    assert len(notes.asked) == 5


def test_what_a_function_needs_is_sent_once_and_all_of_it_again_if_a_part_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(_shipper, "note_sent", noted.append)
    notes, shipper = shipping()
    shipment = analyse(code.uses_unknown)
    notes.answer = {"missing": ["nowhere_defined"]}
    with pytest.raises(
        CannotTravel, match=r"code\.py:\d+: nowhere_defined is neither defined here nor by lamp"
    ):
        shipper.submit(shipment, {"id": "1"})
    notes.answer = {"state": "waiting"}
    assert shipper.submit(shipment, {"id": "2"}) == {"state": "waiting"}
    assert shipper.submit(shipment, {"id": "3"}) == {"state": "waiting"}
    said = [(spec["id"], len(spec["bundles"]), spec["wanted"]) for _, spec in notes.asked]
    assert said == [("1", 1, ["nowhere_defined"]), ("2", 1, ["nowhere_defined"]), ("3", 0, [])]
    assert len(noted) == 1
    assert "def uses_unknown" in noted[0]
    shipment = analyse(code.scaled)
    parts = []
    for value in (3, 3, 4):
        shipment.bundles[0].values["FACTOR"] = value
        shipper.submit(shipment, {})
        bundles = notes.asked[-1][1]["bundles"]
        parts.append([(len(each["pieces"]), each["values"]) for each in bundles])
    assert parts == [[(1, [["FACTOR", 3]])], [], [(1, [["FACTOR", 4]])]]

"""The agent on a controller: what it answers its clients, and when their jobs are ended, kept and forgotten."""

import ctypes
import logging
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rexec.remote.agent import dispatcher as dispatching
from rexec.remote.agent.agent import Agent
from rexec.remote.agent.dispatcher import GRACE, KEEP, STUB, Dispatcher
from rexec.remote.agent.driver_queue import DriverQueue, Ticket
from rexec.remote.agent.execution import Cancelled, Execution
from rexec.remote.agent.output import FORWARD
from rexec.remote.agent.tenant import KEEP_DETACHED, Tenant
from tests.waiting import within

HELLO = {"lease": 30.0, "level": logging.INFO, "who": "alice", "state": None}


def spec(name: str = "1", **further: Any) -> dict[str, Any]:
    """Return what a client says of a job that has the driver alone."""
    usual: dict[str, Any] = {
        "id": name, "key": "lab", "function": "f", "args": [], "kwargs": {}, "parallel": False, "deadline": None,
        "start_at": None, "streams": False, "detached": False, "quick": False, "bundles": [], "wanted": [],
        "forget": [],
    }  # fmt: skip
    return usual | further


class Lab:
    """An agent whose dispatcher is driven by the test; functions run on threads of their own."""

    def __init__(self) -> None:
        self.shared: dict[str, Any] = {"controller_driver": object()}
        self.agent = Agent(self.shared)
        self.dispatcher = self.agent.dispatcher
        self.dispatcher.wake = lambda: self.woken.append(1)  # type: ignore[method-assign]
        self.woken: list[int] = []
        self.free = threading.Event()

    def ask(self, client: str, action: str, payload: Any = None, hello: Any = None) -> Any:
        return self.agent.request({"there": 1}, client, action, payload, hello)

    def come(self, client: str, **hello: Any) -> Tenant:
        self.ask(client, "clock", hello=HELLO | hello)
        tenant = self.agent.tenants[client]
        tenant.workspace.namespaces["lab"] = {"f": lambda *args: self.free.wait(150) and args}
        return tenant

    def submit(self, client: str, name: str = "1", **further: Any) -> Execution:
        if client not in self.agent.tenants:
            self.come(client)
        assert self.ask(client, "submit", spec(name, **further))["ok"]["outcome"] is None
        return self.agent.tenants[client].jobs[name]

    def go_on(self) -> bool:
        """Do what the dispatcher's thread does until nothing is left to do; return False."""
        while not self.dispatcher.inbox.empty():
            job = self.dispatcher.inbox.get()
            assert job is not None
            self.dispatcher.look_at(job)
            self.dispatcher.queue.advance()
        return False

    def end(self, *jobs: Execution) -> None:
        """Let functions return."""
        self.free.set()
        assert within(150, lambda: self.go_on() or all(job.outcome for job in jobs))
        self.go_on()


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.free.set()
    logging.getLogger().removeHandler(FORWARD)


def test_a_client_is_known_by_its_state_once_it_has_said_hello(lab: Lab) -> None:
    assert lab.ask("a", "jobs") == {"unknown": "session"}
    first = lab.ask("a", "jobs", hello=HELLO)
    assert first == {"state": first["state"], "ok": []}
    assert lab.woken == [1]
    assert lab.ask("a", "jobs") == {"ok": []}
    assert lab.ask("a", "jobs", hello=HELLO | {"state": first["state"]}) == first
    assert lab.ask("a", "jobs", hello=HELLO | {"state": "another"}) == {"lost": first["state"]}
    assert lab.ask("b", "jobs", hello=HELLO)["state"] != first["state"]
    assert Lab().ask("a", "jobs", hello=HELLO)["state"] != first["state"]
    assert lab.woken == [1, 1]
    assert (len(lab.agent.instance), len(lab.agent.tenants["a"].since)) == (16, 8)
    error = lab.ask("a", "nothing")
    assert error["error"]["class"] == "AttributeError"
    tenant = lab.agent.tenants["a"]
    tenant.seen = 0.0
    assert lab.ask("a", "jobs_alive") == {"ok": None}
    assert tenant.seen > 0.0


def test_a_job_is_started_once_with_what_its_function_needs(lab: Lab) -> None:
    tenant = lab.come("a")
    assert lab.ask("a", "submit", spec(wanted=["there", "not"]))["ok"] == {"missing": ["not"]}
    assert tenant.jobs == {}
    piece = {"key": "lab2", "module": "lab2", "file": "lab2.py", "values": [], "imports": [], "binds": [],
             "provided": [], "pieces": [["g", 1, "def g(): return 7"]]}  # fmt: skip
    job = spec(key="lab2", function="g", bundles=[piece], parallel=True)
    lab.ask("a", "submit", job)
    started = tenant.jobs["1"]
    assert lab.ask("a", "submit", job)["ok"]["event_count"] == 0
    assert tenant.jobs["1"] is started
    lab.end(started)
    assert started.outcome == {"value": 7}
    assert lab.ask("a", "submit", job)["ok"]["outcome"] == {"value": 7}
    lab.ask("a", "submit", spec("2", forget=["1"]))
    assert list(tenant.jobs) == ["2"]
    assert tenant.jobs["2"].who == "alice: f"


def test_the_start_waits_a_moment_if_it_is_to(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(Execution, "wait_a_moment", lambda job: waited.append(job.id))
    lab.submit("a", "1")
    lab.submit("a", "2", quick=True)
    assert waited == ["2"]
    assert lab.ask("a", "poll", ["1", 0, 0, None])["ok"]["state"] == "waiting"
    assert waited == ["2"]
    assert lab.ask("a", "poll", ["1", 0, 0, 0.5])["ok"]["state"] == "waiting"
    assert waited == ["2", "1"]


def test_jobs_have_the_driver_in_the_order_of_asking_and_parallel_ones_do_not_need_it(lab: Lab) -> None:
    first, second = lab.submit("a", "1"), lab.submit("b", "2")
    beside = lab.submit("a", "3", parallel=True)
    assert (first.thread, second.thread) == (None, None)
    assert beside.thread is not None
    assert lab.ask("a", "driver")["ok"] is None
    lab.go_on()
    assert first.thread is not None
    assert (first.thread.name, first.thread.daemon) == ("rexec f", True)
    assert second.thread is None
    assert within(150, lambda: first.state == "running")
    who, since = lab.ask("b", "driver")["ok"]
    assert who == "alice: f"
    assert 0.0 <= since < 150.0
    assert [each["state"] for each in lab.ask("b", "jobs")["ok"][:1]] == ["running"]
    lab.end(first, second, beside)
    assert lab.dispatcher.running == {}
    assert lab.ask("a", "driver")["ok"] is None
    assert lab.ask("a", "jobs")["ok"] == [
        {"id": each, "name": "f", "state": "done", "progress": (0.0, "")} for each in ("1", "3", "2")
    ]


def test_a_holder_of_another_release_is_told_as_far_as_it_is_known(lab: Lab) -> None:
    lab.come("a")
    lab.dispatcher.queue.holder = types.SimpleNamespace()  # type: ignore[assignment]
    assert lab.ask("a", "driver")["ok"] == ["another client", 0.0]


def test_no_other_client_has_to_know_what_a_request_is_about(lab: Lab) -> None:
    """A job is found from any client; one that is not known is no error."""
    job = lab.submit("a", "1")
    lab.come("b")
    for action, payload, answer in (
        ("start", ["9", 1.0], None), ("poll", ["9", 0, 0, None], None), ("cancel", "9", False),
        ("abandon", ["9"], None), ("forget", ["9"], None), ("discard", ["9", "odd"], None),
    ):  # fmt: skip
        assert lab.ask("b", action, payload) == {"ok": answer}
    assert lab.ask("b", "poll", ["1", 0, 0, None])["ok"]["state"] == "waiting"
    assert lab.ask("b", "cancel", "1") == {"ok": True}
    assert job.reason == "cancelled"
    lab.go_on()
    assert job.outcome == {"cancelled": "cancelled", "failure": None}
    assert job.thread is None
    done = lab.submit("a", "2", parallel=True)
    lab.end(done)
    assert lab.ask("b", "cancel", "2") == {"ok": False}
    assert lab.ask("b", "discard", ["2", "odd"]) == {"ok": None}
    assert done.outcome is not None
    assert done.outcome["error"]["message"] == "odd"
    lab.ask("b", "forget", ["1", "2"])
    assert lab.agent.tenants["a"].jobs == {}


def test_a_job_that_nobody_asks_for_ends_and_is_forgotten(lab: Lab) -> None:
    job = lab.submit("a", "1")
    lab.come("b")
    lab.ask("b", "abandon", ["0", "1"])
    assert (job.reason, job.abandoned) == ("cancelled", True)
    lab.go_on()
    assert lab.agent.tenants["a"].jobs == {}
    assert job.forgotten


def test_the_time_of_a_common_start_starts_a_job_that_waits_for_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.remote.agent.execution.wall_clock", lambda: 100.0)
    job = lab.submit("a", "1", start_at=float("inf"))
    assert job.thread is not None
    lab.free.set()
    assert lab.ask("a", "start", ["1", 130.0]) == {"ok": 30.0}
    assert job.until_start() == 30.0
    assert lab.ask("a", "start", ["1", 99.0]) == {"ok": -1.0}
    lab.end(job)
    assert job.outcome == {"value": ()}


def test_what_came_in_pieces_is_one_value_for_any_request(lab: Lab) -> None:
    lab.come("a")
    for first, step in (
        (True, ["open"]),
        (True, ["open"]),
        (False, ["items", ["f", [1], {}]]),
        (False, ["close", "list"]),
    ):
        assert lab.ask("a", "piece", [first, step]) == {"ok": None}
    assert lab.agent.whole_call("a") == ["f", [1], {}]
    lab.ask("a", "piece", [True, ["items", ["9"]]])
    assert lab.ask("a", "whole", "cancel") == {"ok": False}
    assert lab.ask("a", "whole", "cancel")["error"]["class"] == "ValueError"


def test_news_are_told_until_they_have_arrived(lab: Lab) -> None:
    lab.submit("b", "1")
    job = lab.submit("a", "2")
    number, found = lab.ask("a", "news", [0, [], [], ["2", "9"]])["ok"]
    assert (number, [name for name, _ in found], found[1]) == (1, ["2", "9"], ["9", None])
    assert lab.ask("a", "news", [1, [], [], []])["ok"] == [2, []]
    job.event(20, "lab", "hot")
    job.event(20, "lab", "hotter")
    number, found = lab.ask("a", "news", [2, [], [], []])["ok"]
    assert [line[-1] for line in found[0][1]["events"]] == ["hot", "hotter"]
    again = lab.ask("a", "news", [2, [["2", 1, 0]], [], []])["ok"]  # the answer did not arrive
    assert (again[0], [line[-1] for line in again[1][0][1]["events"]]) == (4, ["hotter"])
    assert lab.ask("a", "news", [4, [], [], []])["ok"] == [5, []]
    lab.end(job)
    assert lab.ask("a", "news", [5, [["2", 2, 0]], [], []])["ok"][1][0][1]["outcome"] == {"value": ()}
    tenant = lab.agent.tenants["a"]
    assert (tenant.marks, list(tenant.unconfirmed)) == ({"2": (2, 0)}, ["2"])
    assert lab.ask("a", "news", [5, [], ["2"], []])["ok"] == [7, []]
    assert (tenant.jobs, tenant.marks, tenant.changes, job.followers) == ({}, {}, {}, {})


def test_a_client_that_leaves_or_is_silent_takes_its_jobs_with_it_but_for_detached_ones(lab: Lab) -> None:
    for name, action in (("a", "close"), ("b", "silence")):
        mine, kept = lab.submit(name, name + "1"), lab.submit(name, name + "2", detached=True)
        ended = lab.submit(name, name + "3")
        ended.end("cancelled")
        tenant = lab.agent.tenants[name]
        if action == "close":
            assert lab.ask(name, "close") == {"ok": None}
            assert tenant.closed
        else:
            tenant.seen = 1000.0
            lab.dispatcher.look_at_all(1030.0)
            assert mine.reason == ""
            lab.dispatcher.look_at_all(1030.1)
        assert (mine.reason, kept.reason) == ("client closed" if action == "close" else "client gone", "")
        assert ended.reason == "cancelled"


def test_a_client_is_forgotten_ten_minutes_after_its_last_word_and_job(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = lab.come("a")
    dropped: list[int] = []
    monkeypatch.setattr(tenant.workspace, "drop_sources", lambda: dropped.append(1))
    job = lab.submit("a", "1", detached=True, parallel=True)
    now = tenant.seen = 1000.0
    assert (KEEP, KEEP_DETACHED) == (600.0, 86400.0)
    lab.dispatcher.look_at_all(now + 1e9)
    assert tenant.idle(now + 1e9) == 0.0  # it runs
    lab.end(job)
    assert job.ended > 0.0
    job.ended = tenant.seen = now
    assert tenant.idle(now + 59.0) == tenant.idle(now + KEEP_DETACHED - 1) == 0.0
    assert tenant.idle(now + KEEP_DETACHED) == KEEP_DETACHED
    tenant.forget("1")
    assert tenant.idle(now + 59.0) == 0.0
    assert tenant.idle(now + 60.0) == 60.0
    lab.dispatcher.look_at_all(now + KEEP)
    assert list(lab.agent.tenants) == ["a"]
    assert dropped == []
    lab.dispatcher.look_at_all(now + KEEP + 1)
    assert lab.agent.tenants == {}
    assert dropped == [1]
    tenant.closed = True
    assert tenant.idle(now) == float("inf")


def test_only_a_job_that_has_ended_is_forgotten(lab: Lab) -> None:
    job = lab.submit("a", "1", parallel=True)
    tenant = lab.agent.tenants["a"]
    tenant.forget("1")
    tenant.forget("2")
    assert list(tenant.jobs) == ["1"]
    assert not job.forgotten
    lab.end(job)
    tenant.forget("1")
    assert tenant.jobs == {}
    assert job.forgotten


def test_jobs_past_their_deadline_are_asked_to_end_once_it_is_over(lab: Lab) -> None:
    late, later, done = (
        lab.submit("a", str(number), deadline=seconds) for number, seconds in enumerate((10.0, 20.0, 5.0))
    )
    assert all(job.deadline is not None for job in (late, later))
    done.finish({"value": 1})
    lab.go_on()
    lab.dispatcher.look_at(late)
    assert len(lab.dispatcher.deadlines) == 3
    lab.dispatcher.look_at_all((late.deadline or 0) - 0.01)
    assert [job.reason for job in (late, later, done)] == ["", "", ""]
    lab.dispatcher.look_at_all(late.deadline or 0)
    assert [job.reason for job in (late, later, done)] == ["deadline", "", ""]
    assert [job for *_, job in lab.dispatcher.deadlines] == [later]


class Thread:
    """A thread of which the test says whether it lives."""

    def __init__(self, lives: bool) -> None:
        self.ident, self.lives = 7, lives

    def is_alive(self) -> bool:
        return self.lives


@pytest.mark.parametrize(
    ("thread", "runs", "reason", "outcome"),
    [(Thread(False), True, "", {"cancelled": "its thread has ended"}),
     (Thread(False), True, "deadline", {"cancelled": "deadline"}),
     (Thread(True), True, "", None), (Thread(False), False, "", None), (None, False, "", None)],
)  # fmt: skip
def test_a_job_whose_thread_was_ended_on_its_last_lines_ends(
    lab: Lab, thread: Any, runs: bool, reason: str, outcome: Any
) -> None:
    job = lab.submit("a", "1")
    lab.dispatcher.running["1"] = job
    job.thread, job.runs, job.reason = thread, runs, reason
    lab.dispatcher.look_at_all(time.monotonic())
    assert job.outcome == outcome
    assert lab.dispatcher.asked == {}


def test_a_job_whose_thread_is_just_being_started_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its number and its first line, a thread of Python says that it is not alive."""
    reached, go_on = threading.Event(), threading.Event()
    set_ident = threading.Thread._set_ident  # type: ignore[attr-defined]

    def wait(thread: threading.Thread) -> None:
        set_ident(thread)
        if thread.name.startswith("rexec "):
            reached.set()
            assert go_on.wait(150)

    job = lab.submit("a", "1")
    monkeypatch.setattr(threading.Thread, "_set_ident", wait)
    starting = threading.Thread(target=lab.dispatcher.start, args=(job,), name="request")
    starting.start()
    assert reached.wait(150)
    lab.dispatcher.look_at_all(time.monotonic())
    outcome = job.outcome
    go_on.set()
    starting.join(150)
    assert outcome is None
    lab.end(job)
    assert "value" in (job.outcome or {})


def test_a_job_that_does_not_look_is_interrupted_some_time_after_it_was_asked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []

    def raise_in(ident: Any, kind: Any) -> None:
        raised.append((ident.value, kind.value))

    api = types.SimpleNamespace(PyThreadState_SetAsyncExc=raise_in)
    monkeypatch.setattr(
        dispatching,
        "ctypes",
        types.SimpleNamespace(pythonapi=api, c_ulong=ctypes.c_ulong, py_object=ctypes.py_object),
    )
    job = lab.submit("a", "1", detached=True)
    lab.dispatcher.running["1"] = job
    thread: Any = Thread(True)
    job.thread, job.reason = thread, "cancelled"
    assert GRACE == 10.0
    for now, number in ((100.0, 0), (110.0, 0), (110.1, 1), (120.1, 1), (120.2, 2)):
        while not job.wakeups.empty():
            job.wakeups.get()
        before = len(raised)
        lab.dispatcher.look_at_all(now)
        assert len(raised) == number
        assert job.wakeups.empty() == (before == number)
    assert raised == [(7, Cancelled)] * 2
    job.finish({"cancelled": "cancelled"})
    lab.go_on()
    assert (lab.dispatcher.running, lab.dispatcher.asked) == ({}, {})


def test_what_detached_jobs_leave_is_counted_once_and_the_oldest_is_dropped_first(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (dispatching.MOST_KEPT, STUB) == (256 << 20, 1024)
    most = 3 << 20
    monkeypatch.setattr(dispatching, "MOST_KEPT", most)
    dispatcher = lab.dispatcher

    def ended(name: str, size: int, detached: bool = True) -> Execution:
        """Return a job that leaves so many bytes."""
        job = lab.submit("a", name, detached=detached)
        job.event(0, "stdout", "x" * 100)
        job.finish({"value": bytes(size - 100 - 64)})
        lab.go_on()
        return job

    def has_value(job: Execution) -> bool:
        assert job.outcome is not None
        return "value" in job.outcome

    ended("0", 600_000, detached=False)
    assert dispatcher.kept_size == 0
    first, second = ended("1", 600_000), ended("2", 1_200_000)
    dispatcher.settle(first)
    assert dispatcher.kept_size == 1_800_000 + 2 * STUB
    third = ended("3", most - 1_800_000 - 3 * STUB)
    assert dispatcher.kept_size == most
    assert has_value(first)
    fourth = ended("4", 300_000)
    assert first.outcome is not None
    assert first.outcome["error"]["message"] == "the result of f was dropped: over 3 MiB of detached jobs"
    assert first.output.since(0) == []
    assert dispatcher.kept_size == most - 300_000 + 2 * STUB - STUB
    second.forgotten = True
    fifth = ended("5", 800_000)
    assert all(map(has_value, (second, third, fourth, fifth)))
    sixth = ended("6", 2_500_000)
    assert [has_value(job) for job in (third, fourth, fifth, sixth)] == [False, False, False, True]
    assert dispatcher.kept_size == 2_500_000 + 4 * STUB
    assert list(lab.agent.tenants["a"].jobs) == ["0", "2", "3", "4", "5", "6"]  # nothing is left of the first


def test_a_job_for_which_there_is_no_thread_fails(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused:
        def __init__(self, **_: Any) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(dispatching, "threading", types.SimpleNamespace(Thread=Refused))
    lab.come("a")
    news = lab.ask("a", "submit", spec(parallel=True))["ok"]
    assert news["outcome"]["error"]["message"] == "can't start new thread"
    lab.go_on()
    assert lab.dispatcher.running == {}


def test_the_dispatcher_runs_while_there_are_clients_whatever_a_job_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tenants = {"a": Tenant("a", {}, HELLO)}
    dispatcher = Dispatcher(DriverQueue(), tenants)
    looked: list[Any] = []

    def look_at(job: Any) -> None:
        looked.append(job)
        raise ValueError("odd")

    monkeypatch.setattr(dispatcher, "look_at", look_at)
    dispatcher.wake()
    thread = dispatcher.thread
    assert thread is not None
    dispatcher.wake()
    assert dispatcher.thread is thread
    assert (thread.name, thread.daemon) == ("rexec dispatcher", True)
    for each in "ab":
        job: Any = each
        dispatcher.inbox.put(job)
    assert within(150, lambda: looked == ["a", "b"])
    tenants.clear()
    thread.join(150)
    assert vars(dispatcher)["thread"] is None
    assert capsys.readouterr().err.count("ValueError: odd") == 2


def ticket(granted: list[str], name: str, wanted: Callable[[], bool] = lambda: True) -> Ticket:
    return Ticket(wanted, lambda: granted.append(name), name)


def test_the_driver_goes_to_the_first_that_still_wants_it_and_back() -> None:
    queue, granted = DriverQueue(), list[str]()
    queue.advance()
    assert vars(queue)["holder"] is None
    wants = {"b": False}
    first, second, third = (
        ticket(granted, name, lambda name=name: wants.get(name, True))  # type: ignore[misc]
        for name in "abc"
    )
    assert (first.who, first.since, first.queued, first.granted, first.done) == (
        "a",
        0.0,
        False,
        False,
        False,
    )
    for each in (first, second, third):
        queue.enter(each)
        assert each.queued
    before = time.monotonic()
    for _ in range(2):
        queue.advance()
        assert (granted, queue.holder) == (["a"], first)
    assert before <= first.since <= time.monotonic()
    first.done = True
    assert not first.valid
    queue.advance()
    assert (granted, queue.holder, second.granted) == (["a", "c"], third, False)
    third.done = True
    queue.advance()
    assert queue.holder is None

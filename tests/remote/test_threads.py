"""A client's threads share its channel; on a controller, jobs share the driver and one dispatcher."""

import threading
import types
from typing import Any

import pytest

from rexec.remote._channel import Channel
from rexec.remote._jobs import Job
from rexec.remote._poller import Poller
from rexec.remote._shipper import Shipper
from rexec.remote._workers import Workers
from rexec.remote.agent.dispatcher import Dispatcher
from rexec.remote.agent.driver_queue import DriverQueue, Ticket
from rexec.remote.agent.execution import Cancelled
from tests.remote import code
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

HERE = ("tests/remote/test_threads.py",)


class Controller:
    """A controller without a server, which refuses a request within another one."""

    def __init__(self) -> None:
        self.space: dict[str, Any] = {}
        self.requests: list[str] = []
        self.is_asked = False

    def add_code(self, text: str) -> Any:
        return self._answered("add_code", lambda: exec(text, self.space))

    def call(self, name: str, *args: Any) -> Any:
        return self._answered(str(args[1:2]), lambda: self.space[name](*args))

    def _answered(self, what: str, answer: Any) -> Any:
        assert not self.is_asked, "a request within another one"
        self.is_asked = True
        self.requests.append(what)
        try:
            return answer()
        finally:
            self.is_asked = False

    def close_rpc(self) -> None: ...


class Connected:
    def __init__(self) -> None:
        self.controller = Controller()
        self.channel = Channel(self.controller, "camera", 30.0, None)
        self.shipper = Shipper(self.channel)

    def ask(self) -> Any:
        return self.channel.in_turn(lambda client: client._answered("asked", lambda: 1))


def test_one_request_is_sent_at_a_time() -> None:
    Race(Connected, Connected.ask, Connected.ask, lambda c: c.controller.requests, HERE).check()


class Forked(Connected):
    """The channel of the process that this one was forked from."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.channel._reconnect = self.connect
        self.channel._generation = -1

    def connect(self) -> Any:
        self.made += 1
        return self.controller


def test_a_forked_child_connects_anew_once() -> None:
    ask = Connected.ask
    Race(Forked, ask, ask, lambda forked: forked.made, ("rexec/remote/_channel.py",)).check()


def test_a_request_that_is_interrupted_costs_no_other() -> None:
    def check(connected: Connected, raised: bool, where: str) -> None:
        assert connected.ask() == 1, where
        assert connected.channel.silence == 0.0, where

    files = ("rexec/remote/_channel.py", "rexec/wire/call_lock.py")
    assert interrupted_everywhere(Connected, Connected.ask, check, files) >= 5


class Agent:
    """Notes what is asked of the agent, in place of a channel to it."""

    where, state, closed, lease = "camera", "1", False, 30.0

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def request(self, action: str, payload: Any = None) -> Any:
        self.asked.append((action, payload))
        return {}

    def leave_the_parent_alone(self) -> None: ...

    def when_state_is_lost(self, _: Any) -> None: ...

    when_forked = when_state_is_lost


class Shipment:
    """What a function needs: nothing but a module."""

    def __init__(self, module: types.ModuleType) -> None:
        self.modules, self.bundles, self.wanted = [module], (), ()


class Shipping:
    def __init__(self) -> None:
        self.agent = Agent()
        channel: Any = self.agent
        self.shipper = Shipper(channel)

    def ship(self) -> None:
        self.shipper.ship_module(code)

    def submit(self) -> None:
        shipment: Any = Shipment(code)
        self.shipper.submit(shipment, {})

    def seen(self) -> Any:
        return [
            (action, len(sent if action == "ship" else sent["bundles"])) for action, sent in self.agent.asked
        ]


SHIPPED = {
    "shipped twice": (Shipping.ship, Shipping.ship),
    "shipped, and used by a function": (Shipping.ship, Shipping.submit),
    "used by two functions": (Shipping.submit, Shipping.submit),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_module_is_sent_once(name: str) -> None:
    Race(Shipping, *SHIPPED[name], Shipping.seen, ("rexec/remote/_shipper.py",)).check()


class Inherited:
    """A job of the process that this one was forked from."""

    def __init__(self) -> None:
        agent: Any = Agent()
        self.job: Job[Any] = Job(agent, "1", "f")
        self.job._generation = self.job._refused_in = -1
        self.ended: list[Any] = []
        self.job.add_done_callback(self.ended.append)

    def ask(self) -> str:
        return str(self.job.exception(150))

    def seen(self) -> Any:
        return len(self.ended), self.job.done()


def test_a_job_of_the_parent_fails_once_for_all_threads_of_a_forked_child() -> None:
    files = ("remote/_jobs.py", "concurrent/futures/_base.py")
    Race(Inherited, Inherited.ask, Inherited.ask, Inherited.seen, files).check()


class Polling:
    """A poller whose threads do nothing until the end."""

    def __init__(self) -> None:
        agent: Any = Agent()
        agent.where = "polled"
        self.begun: list[threading.Thread] = []
        self.end = threading.Event()
        self.is_over = False
        self.poller = Poller(agent, Shipper(agent))
        run: Any = self.run
        self.poller._run = run  # type: ignore[method-assign]

    def run(self) -> None:
        self.begun.append(threading.current_thread())
        self.end.wait(150)

    def end_if_idle(self) -> None:
        """Do what the poller's thread does between two requests."""
        with self.poller._lock:
            self.poller._thread = threading.current_thread()
        self.is_over = self.poller._is_over()

    def follow(self) -> None:
        """Begin a job."""
        self.poller._jobs["1"] = None  # type: ignore[assignment]
        self.poller._keep_asking()

    def seen(self) -> Any:
        self.end.set()
        for thread in threading.enumerate():  # one that was started may not have come to `run` yet
            if thread.name == "rexec polled":
                thread.join(150)
        return len(self.begun)


def test_one_thread_polls_a_controller() -> None:
    Race(
        Polling,
        lambda p: p.poller._keep_asking(),
        lambda p: p.poller._keep_asking(),
        Polling.seen,
        ("rexec/remote/_poller.py",),
    ).check()


def test_a_job_that_begins_as_the_polling_thread_ends_is_polled() -> None:
    def is_polled(polling: Polling) -> bool:
        return bool(polling.seen()) or not polling.is_over

    Race(Polling, Polling.end_if_idle, Polling.follow, is_polled, ("rexec/remote/_poller.py",)).check()


class Measured:
    """A future that has ended, and a remote whose functions return it."""

    def __init__(self) -> None:
        self.begun = 0

    def function(self, _: Any) -> Any:
        return self

    submit = function

    def result(self) -> int:
        return 1


class Working:
    def __init__(self) -> None:
        remote: Any = Measured()
        self.workers = Workers({"camera": remote})
        self.begun: list[str] = []
        work: Any = lambda name, _: self.begun.append(name)  # noqa: E731
        self.workers._work = work  # type: ignore[method-assign]

    def submit(self) -> None:
        self.workers.submit(int)

    def leave_out(self) -> None:
        self.workers._leave_out("camera", ConnectionError("gone"))

    def seen(self) -> Any:
        for thread in self.workers._threads.values():
            thread.join(150)
        return self.begun, self.workers._queue.qsize()

    def shut_down(self) -> None:
        self.workers.shutdown(wait=False, cancel=False)


WORK = {
    "two calls": (Working.submit, Working.submit),
    "a call, and the end": (Working.submit, Working.shut_down),
    "a call, and a controller that is gone": (Working.submit, Working.leave_out),
}


@pytest.mark.parametrize("name", WORK)
def test_one_thread_works_for_a_controller_and_no_call_is_left(name: str) -> None:
    Race(Working, *WORK[name], Working.seen, ("rexec/remote/_workers.py",)).check()


class Driver:
    """The tickets of two jobs for one driver."""

    def __init__(self) -> None:
        self.queue = DriverQueue()
        self.granted: list[str] = []
        self.tickets = [self._ticket(name) for name in ("one", "other")]

    def _ticket(self, name: str) -> Ticket:
        ticket = Ticket(lambda: True, lambda: self.granted.append(name), name)
        self.queue.enter(ticket)
        return ticket

    def advance(self) -> None:
        self.queue.advance()

    def seen(self) -> Any:
        return self.granted[:1], [each.granted for each in self.tickets], len(self.queue.waiting)


DRIVER = ("agent/driver_queue.py",)


def test_one_job_has_the_driver() -> None:
    Race(Driver, Driver.advance, Driver.advance, Driver.seen, DRIVER).check()


def test_a_job_that_is_cancelled_as_it_hands_the_driver_on_costs_no_other_its_turn() -> None:
    def check(driver: Driver, raised: bool, where: str) -> None:
        for ticket in driver.tickets:
            driver.advance()
            assert ticket.granted, where
            ticket.done = True

    for error in (Cancelled, KeyboardInterrupt):
        assert interrupted_everywhere(Driver, Driver.advance, check, DRIVER, error=error) >= 3


class Leaving(types.SimpleNamespace):
    """A client that goes as soon as it is looked at."""

    def lost(self, _: float) -> bool:
        return False

    def idle(self, _: float) -> float:
        return float("inf")

    workspace = types.SimpleNamespace(drop_sources=lambda: None)


class Dispatching:
    """A dispatcher, the thread of which ends because no client is left."""

    def __init__(self) -> None:
        self.tenants: dict[str, Any] = {}
        self.dispatcher = Dispatcher(DriverQueue(), self.tenants)
        self.dispatcher.thread = threading.main_thread()

    def come(self) -> None:
        """Be a new client."""
        self.tenants["new"] = Leaving()
        self.dispatcher.wake()

    def seen(self) -> Any:
        if (thread := self.dispatcher.thread) not in (None, threading.main_thread()):
            thread.join(150)
        return list(self.tenants)


def test_a_client_that_comes_as_the_dispatcher_ends_is_looked_after() -> None:
    Race(
        Dispatching,
        lambda d: d.dispatcher.run(),
        Dispatching.come,
        Dispatching.seen,
        ("agent/dispatcher.py",),
    ).check()
